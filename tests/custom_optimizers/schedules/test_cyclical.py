import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import Cyclical


@pytest.mark.parametrize(
    ("decay", "mode"), [(1.0, "triangular"), (0.5, "triangular2")]
)
def test_is_that_of_pytorch(decay, mode):
    torch = pytest.importorskip("torch")
    sgd = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    reference = torch.optim.lr_scheduler.CyclicLR(
        sgd, 0.1, 0.5, step_size_up=4, mode=mode, cycle_momentum=False
    )
    expected = []
    for _ in range(30):
        expected.append(reference.get_last_lr()[0])
        sgd.step()
        reference.step()
    ours = Cyclical(0.1, 0.5, 4, decay)
    found = [float(ours(step)) for step in range(30)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_late_steps_know_where_they_are():
    ours = Cyclical(0.0, 1.0, 2)
    late = 2**28  # Float32 has no odd numbers there.
    assert [float(ours(late + i)) for i in range(4)] == [0, 0.5, 1, 0.5]


def test_configuration_round_trip():
    ours = Cyclical(0.1, 0.5, 4, 0.9, name="cycle")
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ours)
    )
    assert clone.get_config() == ours.get_config()
    assert float(clone(13)) == float(ours(13))


@pytest.mark.parametrize(
    ("name", "value"),
    [("minimum", -0.1), ("maximum", 0.1), ("half_cycle", 0), ("decay", 0.0)],
)
def test_bad_argument_says_what_was_received(name, value):
    arguments = {"minimum": 0.1, "maximum": 0.5, "half_cycle": 4, name: value}
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}={value}"):
        Cyclical(**arguments)
