import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import (
    fit_in_memory,
    masks_of,
    prune,
    why_plain_fit,
)
from keras_regimen.custom_models.prune import magnitude_masks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6)).astype("float32")
Y = RNG.normal(size=(32, 3)).astype("float32")


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def net():
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu", name="hidden")(inputs)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def kernels(model):
    return [
        np.array(ops.convert_to_numpy(model.get_layer(name).kernel))
        for name in ("hidden", "head")
    ]


def zeros(model):
    return [np.mean(kernel == 0) for kernel in kernels(model)]


def test_global_scope_takes_the_smallest_of_all_kernels():
    model = net()
    model.get_layer("head").kernel.assign(
        0.1 * ops.convert_to_numpy(model.get_layer("head").kernel)
    )
    before = numbers(model)
    new = prune(model, 0.5)
    sizes = np.sort(np.abs(np.concatenate([k.ravel() for k in kernels(model)])))
    limit = sizes[36]  # Of 48 + 24 weights.
    for kernel, pruned in zip(kernels(model), kernels(new), strict=True):
        expected = np.where(np.abs(kernel) >= limit, kernel, 0)
        np.testing.assert_array_equal(pruned, expected)
    assert zeros(new)[1] > 0.8 > zeros(new)[0]
    for one, two in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(one, two)
    assert masks_of(model) == [None, None]


def test_layer_scope_takes_the_same_share_of_each():
    model = net()
    assert zeros(prune(model, 0.75, scope="layer")) == [0.75, 0.75]
    for kernel, pruned in zip(
        kernels(model), kernels(prune(model, 0.75, scope="layer")), strict=True
    ):
        gone = pruned == 0
        assert np.abs(kernel[gone]).max() < np.abs(kernel[~gone]).min()


def test_named_layers_get_their_own_share_and_skipped_ones_stay():
    model = net()
    assert zeros(prune(model, {"hidden": 0.5})) == [0.5, 0]
    assert zeros(prune(model, {"hidden": 0.5, "head": 0.25})) == [0.5, 0.25]
    alone = prune(model, 0.5, skip=["hidden"])
    assert zeros(alone) == [0, 0.5]
    assert masks_of(alone)[0] is None


def test_sparsity_zero_changes_nothing_but_has_masks():
    model = net()
    new = prune(model, 0.0)
    for one, two in zip(numbers(model), numbers(new), strict=True):
        np.testing.assert_array_equal(one, two)
    assert all(mask.all() for mask in masks_of(new))


@pytest.fixture(scope="module")
def fine_tuned():
    """A model pruned, trained with Adam, and what it was before that."""
    model = net()
    pruned = prune(model, 0.6)
    start = kernels(pruned)
    pruned.compile(keras.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
    compiled = keras.config.backend() != "torch"
    if compiled:
        assert why_plain_fit(pruned, X, Y) is None
        fit_in_memory(pruned, X, Y, epochs=5, batch_size=8, verbose=0)
    else:
        pruned.fit(X, Y, epochs=5, batch_size=8, verbose=0)
    return pruned, start


def test_pruned_weights_stay_zero_while_the_others_train(fine_tuned):
    pruned, start = fine_tuned
    for mask, before, after in zip(
        masks_of(pruned), start, kernels(pruned), strict=True
    ):
        assert np.all(after[~mask] == 0)
        assert np.mean(after[mask] != before[mask]) > 0.9


def test_pruning_further_keeps_what_is_pruned(fine_tuned):
    pruned, _ = fine_tuned
    further = prune(pruned, 0.8)
    total = sum(mask.size for mask in masks_of(further))
    left = sum(mask.sum() for mask in masks_of(further))
    assert total - left == round(0.8 * total)
    for old, new in zip(masks_of(pruned), masks_of(further), strict=True):
        assert not np.any(new & ~old)
    with pytest.raises(ValueError, match=r"0\.59.*sparsity=0\.3"):
        prune(pruned, 0.3)


def test_saved_model_goes_on_with_its_masks(fine_tuned, tmp_path):
    pruned, _ = fine_tuned
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.saving.load_model(tmp_path / "pruned.keras", safe_mode=True)
    for one, two in zip(numbers(pruned), numbers(loaded), strict=True):
        np.testing.assert_array_equal(one, two)
    loaded.train_on_batch(X, Y)
    assert [np.sum(kernel == 0) for kernel in kernels(loaded)] == [
        np.sum(~mask) for mask in masks_of(pruned)
    ]


def test_a_weight_that_is_zero_by_chance_does_not_hide_a_masked_one():
    values = [np.array([0.0, 2.0, 0.0, 3.0])]
    masks = [np.array([True, True, False, True])]
    (mask,) = magnitude_masks(values, masks, 0.25)
    assert mask.tolist() == [True, True, False, True]
    (mask,) = magnitude_masks(values, masks, 0.5)
    assert mask.tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, r"\[0, 1\).*sparsity=1.0"),
        ({"sparsity": float("nan")}, r"\[0, 1\).*sparsity=nan"),
        ({"sparsity": {"head": -0.5}}, r"\[0, 1\).*-0.5"),
        ({"sparsity": {"heat": 0.5}}, "name layers.*heat"),
        ({"sparsity": 0.5, "skip": ["tail"]}, "name layers.*tail"),
        (
            {"sparsity": 0.5, "skip": ["head", "hidden"]},
            "leave a layer.*'hidden'",
        ),
        ({"sparsity": 0.5, "skip": "head"}, "sequence of names.*'head'"),
        ({"sparsity": 0.5, "scope": "unit"}, "scope='unit'"),
    ],
)
def test_bad_arguments_say_what_came(arguments, message):
    with pytest.raises(ValueError, match=message):
        prune(net(), **arguments)
