import keras
import numpy as np
import pytest

from keras_regimen.custom_layers import (
    DropBlock2D,
    DropConnect,
    VariationalDropout,
)
from keras_regimen.custom_layers.reparameterization.kernel_wrapper import (
    KernelWrapper,
)
from keras_regimen.recipes.harness import digits
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.regularization.dropout_variants import recipe


@pytest.fixture(scope="module")
def splits():
    return recipe.at("smoke").data[""](0).to("image", "classes")


def built(arm, splits, **settings):
    hp = HyperParameters({**recipe.arms[arm].fixed, **settings})
    return recipe.build(hp, Data(splits))


def training_noise(model, x, draws=10):
    """Returns the deviation of the outputs over passes in training."""
    passes = [np.array(model(x, training=True)) for _ in range(draws)]
    return np.std(passes, axis=0).mean()


@pytest.mark.parametrize(
    ("arm", "kind", "count"),
    [
        ("dropout", keras.layers.Dropout, 2),
        ("gaussian", keras.layers.GaussianDropout, 2),
        ("drop_connect", DropConnect, 3),
        ("variational", VariationalDropout, 3),
        ("conv_dropout", keras.layers.Dropout, 2),
        ("conv_drop_block", DropBlock2D, 2),
    ],
)
def test_an_arm_has_its_variant_and_no_other_noise(arm, kind, count, splits):
    model = built(arm, splits)
    variants = (keras.layers.Dropout, keras.layers.GaussianDropout)
    variants += (DropBlock2D, KernelWrapper)
    noisy = [
        layer
        for layer in model.layers
        if isinstance(layer, variants) and getattr(layer, "rate", 1) > 0
    ]
    assert [type(layer) for layer in noisy] == [kind] * count


@pytest.mark.parametrize("arm", ["plain", "conv_plain"])
def test_the_baselines_add_no_noise(arm, splits):
    assert training_noise(built(arm, splits), splits.train[0][:8], 2) == 0


def test_rate_0_is_the_baseline_and_a_higher_rate_a_stronger_noise(splits):
    """With the same weights, whatever the variant wraps them in."""
    x = splits.train[0][:8]
    plain = built("plain", splits)
    for arm in ("dropout", "gaussian", "drop_connect"):
        noises = []
        for rate in (0.1, 0.4):
            model = built(arm, splits, rate=rate)
            model.set_weights(plain.get_weights())
            np.testing.assert_array_equal(model(x), plain(x))
            noises.append(training_noise(model, x))
        assert 0 < 1.5 * noises[0] < noises[1], arm


def test_blocks_fit_the_maps_and_drop_the_share_that_is_set(splits):
    model = built("conv_drop_block", splits, rate=0.3)
    blocks = [x for x in model.layers if isinstance(x, DropBlock2D)]
    for layer in blocks:
        assert layer.block_size == (3, 3)
        assert layer.input.shape[1:3] == (8, 8)
    ones = np.ones((200, 8, 8, 8), "float32")
    dropped = np.array(blocks[0](ones, training=True)) == 0
    # Overlap takes a little; 12,800 maps leave no noise to speak of.
    assert 0.24 < dropped.mean() <= 0.3
    # A dropped unit's neighbour is mostly dropped with it: 2 of 3 are by
    # their own block alone. Single units would make it 3 of 10.
    pairs = dropped[:, :, 1:] & dropped[:, :, :-1]
    assert pairs.sum() > 0.6 * dropped[:, :, 1:].sum()


def test_more_rows_weaken_the_penalty_of_variational_dropout(splits):
    penalties = []
    for rows in (30_000, 3_000_000):
        model = built("variational", splits, rows=rows)
        model.set_weights([np.full(w.shape, 0.1) for w in model.get_weights()])
        model(splits.train[0][:1])
        penalties.append(float(sum(model.losses)))
    assert penalties[0] == pytest.approx(100 * penalties[1], rel=1e-4)
    assert penalties[0] > 0


def test_labels_are_wrong_in_training_and_validation_alone():
    noisy, clean = recipe.at("cpu").data[""](0), digits()(0)
    for part, share in (("train", 0.3), ("validation", 0.3), ("test", 0.0)):
        (x, y), (clean_x, clean_y) = getattr(noisy, part), getattr(clean, part)
        np.testing.assert_array_equal(x, clean_x)
        assert np.mean(y != clean_y) == pytest.approx(share)
