import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import SeedGenerator


def seeds(generator, count=3, **options):
    return [
        ops.convert_to_numpy(generator.next(**options)) for _ in range(count)
    ]


@pytest.mark.parametrize("ordered", [True, False])
def test_one_device_gets_the_seeds_of_keras(ordered):
    ours, theirs = SeedGenerator(7), keras.random.SeedGenerator(7)
    np.testing.assert_array_equal(
        seeds(ours, ordered=ordered), seeds(theirs, ordered=ordered)
    )
    draws = [keras.random.normal((5,), seed=g) for g in (ours, theirs)]
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, draws))


def test_config_round_trip_starts_the_sequence_again():
    generator = SeedGenerator(7, name="noise")
    first = seeds(generator)
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(generator)
    )
    assert type(clone) is SeedGenerator
    assert clone.get_config() == {"seed": 7, "name": "noise"}
    np.testing.assert_array_equal(seeds(clone), first)


def test_without_a_seed_follows_the_global_one():
    def run(seed):
        keras.utils.set_random_seed(seed)
        return seeds(SeedGenerator())

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_ends_of_the_range_draw_on_every_backend(seed):
    draw = keras.random.uniform((2,), seed=SeedGenerator(seed))
    assert np.isfinite(ops.convert_to_numpy(draw)).all()


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "seven"])
def test_bad_seed_says_what_was_received(seed):
    with pytest.raises(ValueError, match=rf"\[0, 2\*\*31\).*seed={seed}"):
        SeedGenerator(seed)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="tf.distribute"
)
def test_replicas_draw_independently_and_stay_in_step():
    done = subprocess.run(
        [sys.executable, __file__],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def draw_on_two_replicas():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        one, same, next_one = map(SeedGenerator, (7, 7, 8))

    def draw(generator):
        return strategy.run(
            lambda: keras.random.uniform((4096,), seed=generator)
        )

    for run in (draw, tf.function(draw)):
        first, second, again, repeated, *others = (
            strategy.experimental_local_results(run(generator))
            for generator in (one, one, same, same, next_one, next_one)
        )
        np.testing.assert_array_equal(first, again)
        np.testing.assert_array_equal(second, repeated)
        # The correlation of 4096 independent pairs has sigma 1 / 64.
        samples = [*first, *second, *others[0], *others[1]]
        correlations = np.corrcoef(samples) - np.eye(8)
        assert abs(correlations).max() < 4 / 64
    states = strategy.experimental_local_results(one.state.value)
    np.testing.assert_array_equal(states, [[7, 4], [7, 4]])
    # Outside of the replicas there is one sequence, Keras' own.
    np.testing.assert_array_equal(one.next(), [7, 4])


if __name__ == "__main__":
    draw_on_two_replicas()
