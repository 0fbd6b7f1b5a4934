import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import WarmUp


def rates(schedule, steps):
    return [float(schedule(step)) for step in range(steps)]


def test_is_optax_joined_schedules():
    optax = pytest.importorskip("optax")
    cosine = keras.optimizers.schedules.CosineDecay(0.5, 20)
    joined = optax.join_schedules(
        [
            optax.linear_schedule(0, 0.5, 5),
            optax.cosine_decay_schedule(0.5, 20),
        ],
        [5],
    )
    expected = [float(joined(step)) for step in range(30)]
    np.testing.assert_allclose(
        rates(WarmUp(cosine, 5), 30), expected, rtol=1e-5, atol=1e-7
    )


def test_is_the_warm_up_that_keras_has_in_one_schedule():
    decay = keras.optimizers.schedules.CosineDecay
    ours = WarmUp(decay(0.5, 20, alpha=0.1), 5)
    theirs = decay(0.0, 20, alpha=0.1, warmup_target=0.5, warmup_steps=5)
    np.testing.assert_allclose(rates(ours, 30), rates(theirs, 30), rtol=1e-5)


def test_schedule_within_comes_back_from_the_configuration():
    decay = keras.optimizers.schedules.ExponentialDecay(0.5, 3, 0.5)
    for schedule in (WarmUp(decay, 4, name="w"), WarmUp(0.25, 4)):
        clone = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(schedule)
        )
        assert clone.get_config() == schedule.get_config()
        assert rates(clone, 10) == rates(schedule, 10)


@pytest.mark.parametrize(
    ("schedule", "steps", "message"),
    [
        (-1.0, 5, r"schedule=-1\.0"),
        ("cosine", 5, "schedule='cosine'"),
        (0.1, 0, "steps=0"),
        (0.1, 1.5, r"steps=1\.5"),
    ],
)
def test_bad_argument_says_what_was_received(schedule, steps, message):
    with pytest.raises(ValueError, match=message):
        WarmUp(schedule, steps)
