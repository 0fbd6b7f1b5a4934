"""The tie itself: what `TiedDense` and `TiedConv2DTranspose` share."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import TiedConv2DTranspose, TiedDense


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def dense_model(encoder=None, **options):
    inputs = keras.Input((6,))
    encoder = encoder or layers.Dense(3, activation="tanh", name="encoder")
    hidden = layers.Dense(3, name="between")(encoder(inputs))
    decoder = TiedDense(encoder, name="decoder", **options)
    return keras.Model(inputs, decoder(hidden))


def conv_model(**options):
    inputs = keras.Input((6, 6, 2))
    encoder = layers.Conv2D(
        3, 3, strides=2, padding="same", activation="tanh", name="encoder"
    )
    hidden = layers.Conv2D(3, 1, name="between")(encoder(inputs))
    decoder = TiedConv2DTranspose(encoder, name="decoder", **options)
    return keras.Model(inputs, decoder(hidden))


def sequential_model():
    encoder = layers.Dense(3, name="encoder")
    between = layers.Dense(3, name="between")
    decoder = TiedDense(encoder, name="decoder")
    return keras.Sequential([keras.Input((6,)), encoder, between, decoder])


def nested_encoder_model():
    inputs = keras.Input((6,))
    kernel = layers.Dense(3, name="encoder")
    encoder = keras.Model(inputs, kernel(inputs), name="encoding")
    between = layers.Dense(3, name="between")(encoder(inputs))
    return keras.Model(inputs, TiedDense(kernel, name="decoder")(between))


def two_part_model():
    """Returns a model of two, in neither of which both tied layers stand."""
    inputs, code = keras.Input((6,)), keras.Input((3,))
    kernel = layers.Dense(3, name="encoder")
    between = layers.Dense(3, name="between")
    encoder = keras.Model(inputs, between(kernel(inputs)), name="encoding")
    tied = TiedDense(kernel, name="decoder")
    decoder = keras.Model(code, tied(code), name="decoding")
    return keras.Model(inputs, decoder(encoder(inputs)))


def nested_decoder_model():
    """Returns a model with a decoder model, and the encoder outside of it."""
    inputs, code = keras.Input((6,)), keras.Input((3,))
    kernel = layers.Dense(3, name="encoder")
    between = layers.Dense(3, name="between")
    hidden = between(kernel(inputs))
    tied = TiedDense(kernel, name="decoder")
    decoder = keras.Model(code, tied(code), name="decoding")
    return keras.Model(inputs, decoder(hidden))


FLAT = [dense_model, conv_model, sequential_model, nested_encoder_model]
each_flat = pytest.mark.parametrize("make", FLAT)
each = pytest.mark.parametrize("make", [*FLAT, nested_decoder_model])


def find(model, name):
    (found,) = (x for x in model._flatten_layers() if x.name == name)
    return found


def inputs_of(model):
    return normal(4, *model.input_shape[1:])


def run(model, x):
    return ops.convert_to_numpy(model(x))


def scramble(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(-1, 1, w.shape) for w in model.weights])


def assert_tied(model):
    """Asserts one kernel, that moves both layers, and counts once."""
    encoder, decoder = find(model, "encoder"), find(model, "decoder")
    assert decoder.kernel is encoder.kernel
    assert decoder.tied_to is encoder
    # Kernel and bias of three layers, less one kernel.
    assert len(model.weights) == len(model.trainable_weights) == 5
    before = ops.convert_to_numpy(decoder(ops.ones((1, *decoder_shape(model)))))
    encoder.kernel.assign(2 * encoder.kernel)
    after = ops.convert_to_numpy(decoder(ops.ones((1, *decoder_shape(model)))))
    bias = ops.convert_to_numpy(decoder.bias)
    np.testing.assert_allclose(after - bias, 2 * (before - bias), rtol=1e-5)
    encoder.kernel.assign(encoder.kernel / 2)


def decoder_shape(model):
    return (3,) if len(model.input_shape) == 2 else (3, 3, 3)


@each
def test_new_model_is_tied(make):
    assert_tied(make())


@each
def test_saved_model_loads_tied_and_predicts_the_same(make, tmp_path):
    model = make()
    scramble(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = inputs_of(model)
    np.testing.assert_allclose(run(loaded, x), run(model, x), rtol=1e-6)
    assert_tied(loaded)
    again = tmp_path / "again.keras"
    loaded.save(again)  # And once more.
    assert_tied(keras.saving.load_model(again))


@each
def test_weights_file_loads_into_a_fresh_model(make, tmp_path):
    trained, fresh = make(), make()
    scramble(trained)
    trained.save_weights(tmp_path / "all.weights.h5")
    fresh.load_weights(tmp_path / "all.weights.h5")
    x = inputs_of(trained)
    np.testing.assert_allclose(run(fresh, x), run(trained, x), rtol=1e-6)
    assert_tied(fresh)


@each_flat
def test_clone_is_tied_to_its_own_encoder(make):
    model = make()
    scramble(model)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = inputs_of(model)
    expected = run(model, x)
    np.testing.assert_allclose(run(clone, x), expected, rtol=1e-6)
    assert find(clone, "encoder") is not find(model, "encoder")
    scramble(clone)
    np.testing.assert_array_equal(run(model, x), expected)
    assert_tied(clone)
    assert_tied(keras.models.clone_model(clone))


@each_flat
@pytest.mark.parametrize("through_json", [False, True])
def test_config_alone_rebuilds_the_tie(make, through_json):
    model = make()
    if through_json:
        rebuilt = keras.models.model_from_json(model.to_json())
    else:
        rebuilt = type(model).from_config(model.get_config())
    assert_tied(rebuilt)


def test_clone_without_the_encoder_warns_that_the_tie_is_lost():
    for make in (nested_decoder_model, two_part_model):
        model = make()
        with pytest.warns(UserWarning, match="'encoder'.*the tie is lost"):
            clone = keras.models.clone_model(model)
        assert len(clone.weights) == 6
        scramble(clone)
        assert run(clone, inputs_of(model)).shape == (4, 6)


def test_model_of_two_parts_loads_with_a_warning_and_predicts_the_same(
    tmp_path,
):
    model = two_part_model()
    assert_tied(model)
    scramble(model)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="'encoder'.*the tie is lost"):
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = inputs_of(model)
    np.testing.assert_allclose(run(loaded, x), run(model, x), rtol=1e-6)
    assert len(loaded.weights) == 6


def test_layer_tied_to_one_outside_of_the_model_keeps_the_kernel(tmp_path):
    outside = layers.Dense(3, name="outside")
    outside.build((None, 6))
    inputs = keras.Input((3,))
    model = keras.Model(inputs, TiedDense(outside)(inputs))
    scramble(model)
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="'outside'.*the tie is lost"):
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = normal(4, 3)
    np.testing.assert_allclose(run(loaded, x), run(model, x), rtol=1e-6)


def test_tie_is_found_through_many_residual_blocks():
    inputs = keras.Input((6,))
    encoder = layers.Dense(3, name="encoder")
    x = encoder(inputs)
    for _ in range(40):  # 2**40 paths.
        x = layers.Add()([x, layers.ReLU()(x)])
    model = keras.Model(inputs, TiedDense(encoder, name="decoder")(x))
    clone = keras.models.clone_model(model)
    assert find(clone, "decoder").tied_to is find(clone, "encoder")


@each
def test_kernel_is_trained_by_the_sum_of_both_gradients(make):
    model = make()
    scramble(model)
    encoder, decoder = find(model, "encoder"), find(model, "decoder")
    start = ops.convert_to_numpy(encoder.kernel).copy()

    def step(freeze):
        """Returns the change by a step without one of the two gradients."""
        twin = untied(model, freeze)
        twin.compile(keras.optimizers.SGD(1.0), "mse")
        x = inputs_of(model)
        twin.train_on_batch(x, x)
        return find(twin, freeze[1]).get_weights()[0] - start

    model.compile(keras.optimizers.SGD(1.0), "mse")
    x = inputs_of(model)
    both = step(("decoder", "encoder")) + step(("encoder", "decoder"))
    model.train_on_batch(x, x)
    change = ops.convert_to_numpy(decoder.kernel) - start
    np.testing.assert_allclose(change, both, rtol=1e-4, atol=1e-6)


def untied(model, freeze):
    """Returns a model of the same values whose decoder has its own kernel.

    The layer `freeze[0]` is constant, so that `freeze[1]` gets its gradient.
    """
    encoder, between, decoder = (
        find(model, name) for name in ("encoder", "between", "decoder")
    )
    x = inputs = keras.Input(model.input_shape[1:])
    for layer in (encoder, between):
        copy = type(layer).from_config(layer.get_config())
        x = copy(x)
        copy.set_weights(layer.get_weights())
    if isinstance(encoder, layers.Conv2D):
        free = layers.Conv2DTranspose(
            2, 3, strides=2, padding="same", name="decoder"
        )
        kernel = encoder.kernel
    else:
        # Stored as the encoder's is, so that changes compare.
        free = TransposedDense(name="decoder")
        kernel = encoder.kernel
    outputs = free(x)
    free.set_weights([ops.convert_to_numpy(kernel), decoder.get_weights()[1]])
    twin = keras.Model(inputs, outputs)
    find(twin, freeze[0]).trainable = False
    return twin


class TransposedDense(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(6, 3))
        self.bias = self.add_weight(shape=(6,))

    def call(self, inputs):
        return ops.einsum("bu,fu->bf", inputs, self.kernel) + self.bias


def test_penalty_on_the_kernel_counts_once():
    encoder = layers.Dense(3, kernel_regularizer="l2", name="encoder")
    model = dense_model(encoder)
    kernel = ops.convert_to_numpy(encoder.kernel)
    loss = sum(ops.convert_to_numpy(x) for x in model.losses)
    np.testing.assert_allclose(loss, 0.01 * np.sum(kernel**2), rtol=1e-6)


def test_freezing_the_encoder_freezes_the_kernel_of_both():
    model = dense_model()
    find(model, "encoder").trainable = False
    names = [w.path for w in model.trainable_weights]
    assert names == ["between/kernel", "between/bias", "decoder/bias"]


@pytest.mark.parametrize("make", [dense_model, conv_model])
def test_all_arguments_survive_the_config(make):
    model = make(
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(0.5),
        bias_regularizer="l2",
        bias_constraint="non_neg",
        dtype="mixed_bfloat16",
    )
    decoder = find(model, "decoder")
    clone = find(keras.models.clone_model(model), "decoder")
    assert clone.get_config().keys() == decoder.get_config().keys()
    for key, value in decoder.get_config().items():
        if key != "tied_to":
            assert clone.get_config()[key] == value, key
    np.testing.assert_array_equal(ops.convert_to_numpy(clone.bias), 0.5)
    assert type(clone.bias.regularizer) is keras.regularizers.L2
    assert type(clone.bias.constraint) is keras.constraints.NonNeg
    without = find(make(use_bias=False), "decoder")
    assert without.weights == [without.kernel]


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (TiedDense, layers.Conv2D(3, 3)),
        (TiedDense, layers.EinsumDense("ab,bc->ac", 3)),
        (TiedDense, layers.ReLU()),
        (TiedDense, "encoder"),
        (TiedDense, None),
        (TiedConv2DTranspose, layers.Dense(3)),
        (TiedConv2DTranspose, layers.Conv1D(3, 3)),
        (TiedConv2DTranspose, layers.DepthwiseConv2D(3)),
        (TiedConv2DTranspose, layers.SeparableConv2D(3, 3)),
        (TiedConv2DTranspose, layers.Conv2DTranspose(3, 3)),
    ],
)
def test_layer_of_another_kind_is_refused(make, given):
    kind = make.counterpart.__name__
    with pytest.raises(ValueError, match=f"`{kind}` layer.*tied_to=.*{given}"):
        make(given)


@pytest.mark.parametrize(
    ("make", "given", "shape"),
    [
        (TiedDense, layers.Dense(3), (4, 3)),
        (TiedConv2DTranspose, layers.Conv2D(3, 3), (4, 5, 5, 3)),
    ],
)
def test_layer_without_weights_is_refused_when_it_is_needed(make, given, shape):
    with pytest.raises(ValueError, match="must be built first.*no weights yet"):
        make(given)(normal(*shape))


def test_kernel_that_is_no_variable_is_refused():
    encoder = layers.Dense(3)
    encoder.build((None, 6))
    encoder.enable_lora(2)
    with pytest.raises(ValueError, match="must be a variable; LoRA"):
        TiedDense(encoder)(normal(4, 3))
