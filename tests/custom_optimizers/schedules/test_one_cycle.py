import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import OneCycle


@pytest.mark.parametrize("steps", [10, 37])
@pytest.mark.parametrize("rise", [0.3, 0.5])
def test_is_that_of_pytorch(steps, rise):
    torch = pytest.importorskip("torch")
    sgd = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        sgd,
        max_lr=0.5,
        total_steps=steps,
        pct_start=rise,
        div_factor=10,
        final_div_factor=100,
        cycle_momentum=False,
    )
    expected = []
    for _ in range(steps):
        expected.append(reference.get_last_lr()[0])
        sgd.step()
        if len(expected) < steps:
            reference.step()
    ours = OneCycle(0.5, steps, rise, 10, 100)
    found = [float(ours(step)) for step in range(steps)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_rate_stays_after_the_last_step():
    ours = OneCycle(0.5, 10, initial_divisor=10, final_divisor=100)
    for step in (9, 10, 1000):
        assert float(ours(step)) == pytest.approx(0.0005, rel=1e-3)


def test_configuration_round_trip():
    ours = OneCycle(0.5, 10, 0.4, 5, 50, name="cycle")
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ours)
    )
    assert clone.get_config() == ours.get_config()
    assert float(clone(3)) == float(ours(3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maximum", 0.0),
        ("steps", 1),
        ("rise", 1.0),
        ("rise", 0.05),
        ("initial_divisor", -1.0),
        ("final_divisor", float("nan")),
    ],
)
def test_bad_argument_says_what_was_received(name, value):
    arguments = {"maximum": 0.5, "steps": 10, name: value}
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}={value}"):
        OneCycle(**arguments)
