import keras
import pytest

from keras_regimen.callbacks.learning_rate.scaled_schedule import ScaledSchedule


def test_rates_are_the_schedule_s_times_the_factor_and_come_back():
    cosine = keras.optimizers.schedules.CosineDecay(0.5, 10)
    scaled = ScaledSchedule(cosine, 0.1)
    config = keras.saving.serialize_keras_object(scaled)
    loaded = keras.saving.deserialize_keras_object(config)
    for step in range(12):
        rate = float(scaled(step))
        assert rate == float(loaded(step))
        assert rate == pytest.approx(0.1 * float(cosine(step)), rel=1e-6)
