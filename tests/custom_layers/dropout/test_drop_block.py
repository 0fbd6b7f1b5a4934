import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from keras_regimen.custom_layers import (
    DropBlock1D,
    DropBlock2D,
    StandardDropout,
)

BACKEND = keras.config.backend()


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def ones(*shape):
    return np.ones(shape, "float32")


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class AlwaysDropBlock2D(DropBlock2D):
    """Drops in compiled prediction too."""

    def call(self, inputs):
        return super().call(inputs, training=True)


def drop_probability(rate, size, block):
    """Returns the exact probability of each unit to lie in a block."""
    block = [min(b, s) for b, s in zip(block, size, strict=True)]
    corners = [s - b + 1 for b, s in zip(block, size, strict=True)]
    gamma = rate / np.prod(block) * np.prod(size) / np.prod(corners)
    covering = np.array(1.0)
    for b, c in zip(block, corners, strict=True):
        covering = np.multiply.outer(covering, np.convolve([1] * c, [1] * b))
    return 1 - (1 - gamma) ** covering


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0, True)])
def test_identity_when_nothing_can_drop(rate, training):
    x = normal(2, 8, 6, 3)
    np.testing.assert_array_equal(run(DropBlock2D(rate), x, training), x)
    np.testing.assert_array_equal(run(DropBlock1D(rate), x[0], training), x[0])


@pytest.mark.parametrize(
    ("rate", "size", "block"),
    [
        (0.2, (10, 8), (3, 3)),
        (0.4, (9, 9), (4, 2)),
        (0.1, (5, 12), (7, 7)),  # The map is lower than the block.
        (0.3, (4, 4), (4, 4)),
        (0.3, (12,), (5,)),
        (0.3, (3,), (7,)),
    ],
)
def test_each_unit_is_dropped_with_the_probability_of_its_place(
    rate, size, block
):
    make = DropBlock2D if len(size) == 2 else DropBlock1D
    y = run(make(rate, block, seed=0), ones(64, *size, 64))
    share = (y == 0).mean(axis=(0, -1))
    expected = drop_probability(rate, size, block)
    # Each place has 64 * 64 independent draws.
    sigma = np.sqrt(expected * (1 - expected) / 4096)
    assert (abs(share - expected) < 4.5 * sigma).all()
    # Of the whole map about the rate is dropped, a little less for overlaps.
    assert 0.8 * rate < expected.mean() <= rate + 1e-9


@pytest.mark.parametrize("block", [(1, 1), (2, 2), (3, 3), (5, 2), (4, 7)])
def test_what_is_dropped_is_a_union_of_whole_blocks(block):
    y = run(DropBlock2D(0.3, block, seed=0), ones(4, 12, 9, 8))
    dropped = y == 0
    assert 0 < dropped.mean() < 1
    for sample in dropped:
        for channel in np.moveaxis(sample, -1, 0):
            opened = ndimage.binary_opening(channel, np.ones(block))
            np.testing.assert_array_equal(opened, channel)


def test_single_block_has_its_size():
    # One corner in 100 or so: of 4096 maps most that lose any lose one block.
    y = run(DropBlock2D(0.005, 3, seed=0), ones(4096, 6, 5, 1))
    counts = (y == 0).sum(axis=(1, 2, 3))
    assert np.median(counts[counts > 0]) == 9
    y = run(DropBlock1D(0.005, 4, seed=0), ones(4096, 9, 1))
    counts = (y == 0).sum(axis=(1, 2))
    assert np.median(counts[counts > 0]) == 4


def test_kept_units_are_scaled_to_the_sum_over_ones():
    x = normal(8, 6, 6, 4)
    arguments = {"rate": 0.3, "block_size": 3, "seed": 5}
    mask = run(DropBlock2D(**arguments), ones(8, 6, 6, 4)) != 0
    y = run(DropBlock2D(**arguments), x)
    np.testing.assert_allclose(y, x * mask / mask.mean(), rtol=1e-6)


def test_scale_is_rounded_to_half_floats_once():
    for seed in range(8):
        layer = DropBlock1D(0.3, 3, seed=seed, dtype="float16")
        y = run(layer, ones(3, 31, 7))  # A share that no half float is.
        assert set(np.unique(y)) == {0, np.float16(1 / np.mean(y != 0))}


def test_block_of_one_drops_the_units_that_dropout_drops():
    x = normal(4, 5, 6, 3)
    dropped = run(DropBlock2D(0.4, 1, seed=3), x) == 0
    expected = run(StandardDropout(0.4, seed=3), x) == 0
    np.testing.assert_array_equal(dropped, expected)


def test_block_as_large_as_the_map_drops_whole_channels():
    y = run(DropBlock2D(0.4, (5, 9), seed=3), ones(64, 5, 6, 64))
    np.testing.assert_array_equal(y.min((1, 2)), y.max((1, 2)))
    # Binomial(4096, 0.4) / 4096: one sigma is 0.0077.
    assert abs(np.mean(y[:, 0, 0] == 0) - 0.4) < 4 * 0.0077


@pytest.mark.parametrize("per_channel", [True, False])
def test_channels_draw_their_own_blocks_unless_told_to_share(per_channel):
    layer = DropBlock2D(0.3, 2, per_channel=per_channel, seed=0)
    y = run(layer, ones(16, 6, 6, 8))
    assert (y.min(-1) == y.max(-1)).all() == (not per_channel)
    assert (y.min(0) != y.max(0)).any()  # Samples always draw their own.


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("make", [DropBlock1D, DropBlock2D])
def test_channels_first_has_its_blocks_in_the_last_axes(make, per_channel):
    spatial = (12, 9)[: make.rank]
    layer = make(
        0.3,
        3,
        per_channel=per_channel,
        data_format="channels_first",
        seed=0,
    )
    y = run(layer, ones(64, 8, *spatial))
    share = (y == 0).mean(axis=(0, 1))
    expected = drop_probability(0.3, spatial, (3, 3)[: make.rank])
    draws = 64 * (8 if per_channel else 1)
    sigma = np.sqrt(expected * (1 - expected) / draws)
    assert (abs(share - expected) < 4.5 * sigma).all()
    assert (y.min(1) == y.max(1)).all() == (not per_channel)


@pytest.mark.parametrize("size", [(3, 12), (8, 5)])
def test_map_of_unknown_size_is_dropped_as_one_of_a_known_size(size):
    inputs = keras.Input((None, None, 2))
    layer = AlwaysDropBlock2D(0.4, 4, seed=7)
    model = keras.Model(inputs, layer(inputs))
    model.compile()
    x = normal(8, *size, 2)
    expected = run(DropBlock2D(0.4, 4, seed=7), x)
    y = model.predict(x, verbose=0)
    assert 0 < (y == 0).mean() < 1
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile takes 20 s")
def test_xla_drops_the_same_share():
    inputs = keras.Input((None, None, 64))
    layer = AlwaysDropBlock2D(0.2, 3, seed=0)
    model = keras.Model(inputs, layer(inputs))
    model.compile(jit_compile=True)
    y = model.predict(ones(64, 10, 8, 64), batch_size=64, verbose=0)
    share = (y == 0).mean(axis=(0, -1))
    expected = drop_probability(0.2, (10, 8), (3, 3))
    sigma = np.sqrt(expected * (1 - expected) / 4096)
    assert (abs(share - expected) < 4.5 * sigma).all()


@pytest.mark.parametrize("policy", ["float32", "float16"])
def test_all_dropped_gives_zeros_and_no_gradient(policy):
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(2, 4, dtype=policy)
    x = keras.layers.Reshape((1, 1, 4), dtype=policy)(table(inputs))
    layer = DropBlock2D(1 - 1e-6, 1, seed=0, dtype=policy)
    model = keras.Model(inputs, layer(x))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    assert model.train_on_batch(np.arange(2), np.zeros((2, 1, 1, 4))) == 0
    after = ops.convert_to_numpy(table.embeddings)
    np.testing.assert_array_equal(after, before)


def test_gradient_is_that_of_a_product_with_the_mask():
    arguments = {"rate": 0.3, "block_size": 2, "seed": 3}
    scale = run(DropBlock2D(**arguments), ones(8, 4, 4, 2)).reshape(8, -1)
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(8, 32)
    maps = keras.layers.Reshape((4, 4, 2))(table(inputs))
    model = keras.Model(inputs, DropBlock2D(**arguments)(maps))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    model.train_on_batch(np.arange(8), np.zeros((8, 4, 4, 2)))
    gradient = before - ops.convert_to_numpy(table.embeddings)
    assert scale.min() == 0 < scale.max()
    np.testing.assert_allclose(gradient, scale, rtol=1e-6, atol=1e-6)


def test_dropped_unit_hides_non_finite_values():
    layer = DropBlock2D(0.5, 2, seed=0)
    y = run(layer, np.full((8, 4, 4, 2), np.inf, "float32"))
    assert set(np.unique(y)) == {0, np.inf}


@pytest.mark.parametrize("rate", [-0.1, 1, 20, float("nan"), None, "half"])
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        DropBlock2D(rate)


@pytest.mark.parametrize("block", [0, -1, 2.5, "ab", (3,), (3, 0), (1, 2, 3)])
def test_bad_block_size_says_what_was_received(block):
    with pytest.raises(ValueError, match="`block_size`.*2 of.*block_size="):
        DropBlock2D(0.1, block)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_channel": 1}, "`per_channel` must be a boolean.*per_channel=1"),
        ({"data_format": "NCHW"}, "`data_format` must be.*data_format=NCHW"),
        ({"seed": -3}, "seed=-3"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        DropBlock1D(0.1, **arguments)


@pytest.mark.parametrize(
    ("make", "shape"), [(DropBlock1D, (2, 4, 4, 3)), (DropBlock2D, (2, 4, 3))]
)
def test_inputs_of_another_rank_are_refused(make, shape):
    with pytest.raises(ValueError, match=r"expected ndim=\d, found ndim=\d"):
        make(0.1)(ones(*shape))
