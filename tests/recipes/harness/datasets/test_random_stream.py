import zlib

import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.random_stream import random_stream


def test_stream_is_numpys_for_seed_and_checksum_of_the_purpose():
    expected = np.random.default_rng([7, zlib.crc32(b"split")]).random(4)
    np.testing.assert_array_equal(random_stream(7, "split").random(4), expected)
    np.testing.assert_array_equal(
        random_stream(np.int64(7), "split").random(4), expected
    )


def test_seeds_and_purposes_have_streams_of_their_own():
    first = {
        random_stream(seed, purpose).random()
        for seed in range(20)
        for purpose in ("split", "label noise in training", "moons")
    }
    assert len(first) == 60


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None])
def test_bad_seed_says_what_was_received(seed):
    with pytest.raises(ValueError, match=f"seed={seed!r}"):
        random_stream(seed, "split")
