import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import WeightNormalization
from keras_regimen.custom_models import (
    KernelMask,
    apply_masks,
    fit_in_memory,
    masks_of,
    prune,
    set_masks,
    shuffled_masks,
    strip,
)
from keras_regimen.custom_models.apply_masks import prunable_kernels

TENSORFLOW = keras.config.backend() == "tensorflow"
RNG = np.random.default_rng(0)


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def small():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_constraint="max_norm"),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )


def random_masks(model, share=0.5):
    masks = [RNG.random(k.shape) < share for k in prunable_kernels(model)]
    for mask in masks:
        mask.flat[0] = True
    return masks


def test_lottery_ticket_has_initial_weights_under_the_masks_of_another():
    initial, trained = small(), small()
    masks = masks_of(prune(trained, 0.7))
    before = numbers(initial)
    ticket = apply_masks(initial, masks)
    kernels = [numbers(ticket)[i] for i in (0, 6)]
    for kernel, start, mask in zip(
        kernels, (before[0], before[6]), masks, strict=True
    ):
        np.testing.assert_array_equal(kernel, np.where(mask, start, 0))
    for one, two in zip(before, numbers(initial), strict=True):
        np.testing.assert_array_equal(one, two)
    assert masks_of(initial) == [None, None]
    for one, two in zip(masks_of(ticket), masks, strict=True):
        np.testing.assert_array_equal(one, two)
    constraint = ticket.layers[0].kernel_constraint
    assert isinstance(constraint.constraint, keras.constraints.MaxNorm)


def test_new_masks_replace_old_ones_and_none_takes_them_off():
    model = small()
    first, second = random_masks(model), random_masks(model)
    twice = apply_masks(apply_masks(model, first), [second[0], None])
    np.testing.assert_array_equal(masks_of(twice)[0], second[0])
    assert masks_of(twice)[1] is None
    kernel = np.where(first[0] & second[0], numbers(model)[0], 0)
    np.testing.assert_array_equal(numbers(twice)[0], kernel)


def test_shuffled_masks_keep_the_count_of_each_kernel():
    masks = [*random_masks(small(), 0.2), None]
    one, two, other = (shuffled_masks(masks, seed) for seed in (0, 0, 1))
    assert one[-1] is None
    for mask, a, b, c in zip(
        masks[:-1], one[:-1], two[:-1], other[:-1], strict=True
    ):
        assert a.sum() == mask.sum() > 0
        np.testing.assert_array_equal(a, b)
        assert np.any(a != mask)
        assert np.any(a != c)


def every_kind():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.SeparableConv2D(4, 2, name="separable")(x)
    x = layers.Conv2DTranspose(2, 2, name="transposed")(x)
    x = layers.Reshape((4, -1))(x)
    x = layers.Bidirectional(
        layers.SimpleRNN(2, return_sequences=True, unroll=True)
    )(x)
    x = layers.TimeDistributed(layers.Dense(3))(x)
    inner = keras.Sequential([keras.Input((4, 3)), layers.Flatten()])
    x = WeightNormalization(layers.Dense(3), data_dependent_init=False)(
        inner(x)
    )
    return keras.Model(inputs, x)


def test_each_kind_of_kernel_keeps_its_mask_through_a_step_and_a_file(tmp_path):
    model = every_kind()
    masked = apply_masks(model, random_masks(model))
    kernels = prunable_kernels(masked)
    assert len(kernels) == 5 + 4 + 1 + 1
    masked.compile("adam", "mse", run_eagerly=TENSORFLOW)
    start = [ops.convert_to_numpy(kernel.value) for kernel in kernels]
    x = RNG.normal(size=(4, 8, 8, 2)).astype("float32")
    masked.fit(x, np.ones((4, 3)), epochs=1, verbose=0)
    for kernel, before, mask in zip(
        kernels, start, masks_of(masked), strict=True
    ):
        after = ops.convert_to_numpy(kernel.value)
        assert np.all(after[~mask] == 0)
        assert np.any(after[mask] != before[mask])
    masked.save(tmp_path / "masked.keras")
    loaded = keras.saving.load_model(tmp_path / "masked.keras", safe_mode=True)
    for one, two in zip(masks_of(masked), masks_of(loaded), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("fit", [keras.Model.fit, fit_in_memory])
def test_masks_set_between_epochs_act_at_once(fit):
    if fit is fit_in_memory and keras.config.backend() == "torch":
        pytest.skip("nothing is compiled")
    masked = prune(small(), 0.0)
    masked.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    x = RNG.normal(size=(8, 6)).astype("float32")
    fit(masked, x, np.ones((8, 3)), batch_size=4, verbose=0)
    assert not np.any(numbers(masked)[0] == 0)
    masks = random_masks(masked)
    set_masks(masked, [masks[0], None])
    fit(masked, x, np.ones((8, 3)), batch_size=4, verbose=0)
    assert int(masked.optimizer.iterations) == 4
    np.testing.assert_array_equal(numbers(masked)[0] != 0, masks[0])
    assert np.all(numbers(masked)[6] != 0)
    with pytest.raises(ValueError, match="must have masks.*dense"):
        set_masks(strip(masked), masks)


def test_stripped_model_is_plain_and_predicts_the_same():
    model = small()
    pruned = prune(model, 0.8)
    plain = strip(pruned)
    x = RNG.normal(size=(5, 6)).astype("float32")
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(m(x)) for m in (pruned, plain))
    )
    assert isinstance(
        plain.layers[0].kernel_constraint, keras.constraints.MaxNorm
    )
    assert plain.layers[2].kernel_constraint is None
    assert "keras_regimen" not in plain.to_json()
    assert all(isinstance(m, np.ndarray) for m in masks_of(pruned))


def test_layer_that_cannot_keep_a_mask_is_refused():
    inputs = keras.Input((4, 6))
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(ValueError, match=r"multi_head.*keeps no constraint"):
        apply_masks(model, random_masks(model))


def test_masks_must_fit():
    model = small()
    with pytest.raises(ValueError, match=r"\(6, 8\).*shapes \[\(6, 8\)\]"):
        apply_masks(model, random_masks(model)[:1])
    with pytest.raises(ValueError, match=r"shapes \[\(2,\), None\]"):
        apply_masks(model, [np.ones(2, bool), None])
    with pytest.raises(ValueError, match="be built and have kernels"):
        apply_masks(keras.Sequential([layers.Dense(2)]), [None])
    with pytest.raises(ValueError, match="boolean.*float64"):
        apply_masks(model, [np.ones((6, 8)), None])


def test_subclassed_model_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(np.ones((1, 3)))
    with pytest.raises(ValueError, match="functional or sequential.*Own"):
        strip(model)


def test_masks_are_constraints():
    assert issubclass(KernelMask, keras.constraints.Constraint)
