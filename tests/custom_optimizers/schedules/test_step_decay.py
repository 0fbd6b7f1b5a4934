import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import StepDecay


@pytest.mark.parametrize("steps", [3, [2, 5, 6]])
def test_is_that_of_pytorch(steps):
    torch = pytest.importorskip("torch")
    schedules = torch.optim.lr_scheduler
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    if isinstance(steps, int):
        reference = schedules.StepLR(sgd, steps, 0.3)
    else:
        reference = schedules.MultiStepLR(sgd, steps, 0.3)
    expected = []
    for _ in range(12):
        expected.append(reference.get_last_lr()[0])
        sgd.step()
        reference.step()
    ours = StepDecay(0.5, steps, 0.3)
    found = [float(ours(step)) for step in range(12)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("steps", [3, [2, 5]])
def test_configuration_round_trip(steps):
    ours = StepDecay(0.5, steps, 0.3, name="steps")
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ours)
    )
    assert clone.get_config() == ours.get_config()
    assert float(clone(4)) == float(ours(4))


@pytest.mark.parametrize(
    ("name", "value", "received"),
    [
        ("initial_learning_rate", -1.0, "=-1.0"),
        ("steps", 0, "=0"),
        ("steps", [3, 2], r"=\[3, 2\]"),
        ("steps", [], r"=\[\]"),
        ("steps", [1, 2.5], "=2.5"),
        ("factor", 0.0, "=0.0"),
    ],
)
def test_bad_argument_says_what_was_received(name, value, received):
    arguments = {"initial_learning_rate": 0.5, "steps": 3, name: value}
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}{received}"):
        StepDecay(**arguments)
