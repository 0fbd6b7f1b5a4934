import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import (
    GhostBatchNormalization,
    StochasticDepth,
    TiedDense,
    WeightNormalization,
    WeightStandardization,
)
from keras_regimen.custom_models import replace_layers

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 6, 6, 3)).astype("float32")


def ghost(layer):
    return GhostBatchNormalization(
        2,
        axis=layer.axis,
        momentum=layer.momentum,
        epsilon=layer.epsilon,
        center=layer.center,
        scale=layer.scale,
    )


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def randomize(model):
    """Gives every weight values that no initializer would."""
    for weight in model.weights:
        weight.assign(RNG.uniform(0.3, 1.3, weight.shape))
    return model


def predict(model, x, training=False):
    return keras.tree.map_structure(
        ops.convert_to_numpy, model(x, training=training)
    )


def assert_same(model, other, x, **tolerance):
    pairs = zip(
        *(keras.tree.flatten(predict(m, x)) for m in (model, other)),
        strict=True,
    )
    for one, two in pairs:
        assert np.std(one) > 0
        np.testing.assert_allclose(
            one, two, **{"rtol": 1e-5, "atol": 1e-6, **tolerance}
        )


def conv_net():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(momentum=0.7, epsilon=0.1, name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, name="unscaled")(x)
    x = ops.relu(x) + 1.0
    x = layers.GlobalAveragePooling2D()(x)
    return randomize(keras.Model(inputs, layers.Dense(2, name="head")(x)))


# Weights.


def test_normalization_is_replaced_with_its_weights_and_predicts_the_same():
    model = conv_net()
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    assert_same(model, new, IMAGES)
    norm = new.get_layer("norm")
    assert isinstance(norm, GhostBatchNormalization)
    assert (norm.momentum, norm.epsilon) == (0.7, 0.1)
    assert type(new.get_layer("conv")) is layers.Conv2D
    for layer in model.layers:
        for old, carried in zip(
            layer.weights, new.get_layer(layer.name).weights, strict=True
        ):
            assert old is not carried
            assert old.name == carried.name
            np.testing.assert_array_equal(
                *map(ops.convert_to_numpy, (old, carried))
            )


def test_wrapped_kernels_are_those_of_the_old_layer():
    model = conv_net()
    new = replace_layers(
        model, {layers.Conv2D: WeightStandardization, "norm": ghost}
    )
    kernel = numbers(model.get_layer("conv"))[0].astype("float64")
    np.testing.assert_array_equal(numbers(new.get_layer("conv"))[0], kernel)
    deviation = np.sqrt(kernel.var((0, 1, 2)) + 1e-5)
    model.get_layer("conv").set_weights(
        [(kernel - kernel.mean((0, 1, 2))) / deviation]
    )
    assert_same(model, new, IMAGES, rtol=1e-4)
    # No convolution in the sense of Keras' classes.
    assert type(new.get_layer("depthwise")) is layers.DepthwiseConv2D


def test_what_a_wrapper_adds_starts_from_the_old_kernel():
    model = conv_net()

    def wrapped(layer):
        return WeightNormalization(layer, data_dependent_init=False)

    new = replace_layers(
        model, {layers.Conv2D: wrapped, layers.DepthwiseConv2D: wrapped}
    )
    assert isinstance(new.get_layer("depthwise"), WeightNormalization)
    assert_same(model, new, IMAGES)


class Shifted(layers.Wrapper):
    def build(self, input_shape):
        super().build(input_shape)
        self.bias = self.add_weight(shape=(), initializer="ones", name="bias")

    def call(self, inputs):
        return self.layer(inputs) + self.bias


def test_what_a_wrapper_adds_may_bear_a_name_of_the_old_layer():
    model = conv_net()
    new = replace_layers(model, {"head": Shifted})
    np.testing.assert_allclose(
        predict(new, IMAGES), predict(model, IMAGES) + 1, rtol=1e-5
    )


def test_weights_of_cells_are_carried_over():
    inputs = keras.Input((4, 3))
    x = layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))(inputs)
    model = randomize(keras.Model(inputs, layers.LSTM(2, name="last")(x)))

    def cell_by_cell(layer):
        return layers.RNN(layers.LSTMCell(layer.units))

    def reversed_twice(layer):
        config = layer.forward_layer.get_config()
        return layers.Bidirectional(layers.SimpleRNN.from_config(config))

    new = replace_layers(
        model,
        {layers.LSTM: cell_by_cell, layers.Bidirectional: reversed_twice},
    )
    assert type(new.get_layer("last")) is layers.RNN
    assert_same(model, new, RNG.normal(size=(5, 4, 3)).astype("float32"))


def test_lost_weights_must_be_named():
    model = conv_net()

    def group(layer):
        return layers.GroupNormalization(2)

    with pytest.raises(ValueError, match="'norm'.*'moving_mean'.*none of"):
        replace_layers(model, {"norm": group})
    with pytest.raises(ValueError, match="'moving_variance'.*moving_mean"):
        replace_layers(model, {"norm": group}, forget=["moving_mean"])
    new = replace_layers(
        model, {"norm": group}, forget=["moving_mean", "moving_variance"]
    )
    for one, two in zip(
        numbers(new.get_layer("norm")),
        numbers(model.get_layer("norm")),  # Its first two are these.
        strict=False,
    ):
        np.testing.assert_array_equal(one, two)


def test_another_shape_must_be_named_too():
    model = conv_net()
    mapping = {"head": lambda layer: layers.Dense(5)}
    with pytest.raises(ValueError, match=r"'kernel'.*\(4, 2\).*\(4, 5\)"):
        replace_layers(model, mapping)
    new = replace_layers(model, mapping, forget=("kernel", "bias"))
    assert new.output_shape == (None, 5)
    assert new.get_layer("head").name == "head"


def test_old_model_stays_as_it_was_while_the_new_one_trains(tmp_path):
    model = conv_net()
    before, expected = numbers(model), predict(model, IMAGES)
    kinds = [type(layer) for layer in model.layers]
    new = replace_layers(
        model,
        {
            layers.BatchNormalization: ghost,
            layers.Conv2D: WeightStandardization,
        },
    )
    new.compile("sgd", "mse")
    start = numbers(new)
    new.fit(IMAGES, np.ones((6, 2)), batch_size=4, verbose=0)
    for one, two in zip(start, numbers(new), strict=True):
        assert np.any(one != two)
    for one, two in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(predict(model, IMAGES), expected)
    assert [type(layer) for layer in model.layers] == kinds
    model.compile("sgd", "mse")
    model.train_on_batch(IMAGES, np.ones((6, 2)))
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    assert_same(new, loaded, IMAGES)


# Graphs.


def test_shared_layers_and_models_stay_shared():
    first, second = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    norm = layers.BatchNormalization()
    shared = layers.Dense(3)
    inner = keras.Input((3,))
    tower = keras.Model(inner, shared(norm(inner)), name="tower")
    stack = keras.Sequential([keras.Input((3,)), norm, shared], name="stack")
    hidden = norm(tower(first) + tower(second))
    outputs = {"sum": stack(hidden), "first": shared(first)}
    model = keras.Model({"a": first, "b": second}, outputs)
    x = {k: RNG.normal(size=(4, 3)).astype("float32") for k in "ab"}
    randomize(model)
    new = replace_layers(
        model,
        {layers.BatchNormalization: ghost, layers.Dense: WeightStandardization},
    )
    assert len(new.weights) == len(model.weights) == 6
    assert new.output_names == model.output_names
    ours = new.get_layer("tower").get_layer(norm.name)
    assert isinstance(ours, GhostBatchNormalization)
    assert new.get_layer(norm.name) is ours
    assert new.get_layer("stack").get_layer(norm.name) is ours
    kernel, bias = numbers(shared)
    kernel -= kernel.mean(0)
    shared.set_weights([kernel / np.sqrt(kernel.var(0) + 1e-5), bias])
    assert_same(model, new, x, rtol=1e-4)


def test_layers_shared_by_nested_models_stay_shared():
    norm = layers.BatchNormalization()
    parts = [
        keras.Sequential([keras.Input((3,)), norm, layers.Dense(3)])
        for _ in range(2)
    ]
    model = keras.Sequential([keras.Input((3,)), *parts])
    model.build((None, 3))
    randomize(model)
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    one, two = (part.layers[0] for part in new.layers)
    assert one is two
    assert_same(model, new, RNG.normal(size=(4, 3)).astype("float32"))


def test_call_arguments_are_kept():
    inputs = keras.Input((3, 3))
    noisy = layers.Dropout(0.5)(inputs, training=True)
    mask = ops.any(inputs > 0, axis=-1)
    x = layers.BatchNormalization()(noisy, mask=mask)
    x = layers.Attention()([x, inputs], use_causal_mask=True)
    model = randomize(keras.Model(inputs, [noisy, x]))
    new = replace_layers(
        model,
        {
            layers.BatchNormalization: ghost,
            layers.Dropout: lambda layer: StochasticDepth(layer.rate),
        },
    )
    x = np.ones((64, 3, 3), "float32")
    branch, _ = predict(new, x, training=None)
    assert set(np.unique(branch)) == {0, 2}
    assert np.all(branch == branch[:, :1, :1])  # A sample at a time.


def test_new_layer_need_not_take_what_the_graph_hands_it():
    inputs = keras.Input((4, 2))
    x = layers.Masking()(inputs)
    x = layers.BatchNormalization()(x, training=False)
    model = keras.Model(inputs, layers.LSTM(3)(x))

    def own(layer):
        return layers.GroupNormalization(1)

    new = replace_layers(
        model,
        {layers.BatchNormalization: own},
        forget=("moving_mean", "moving_variance"),
    )
    x = RNG.normal(size=(3, 4, 2)).astype("float32")
    x[:, 2:] = 0  # Masked, so the LSTM stops after two steps.
    hidden = new.layers[2](x)
    assert type(new.layers[2]) is layers.GroupNormalization
    expected = new.layers[-1](hidden[:, :2])
    np.testing.assert_allclose(
        predict(new, x), ops.convert_to_numpy(expected), rtol=1e-5
    )


def test_optional_and_sparse_inputs_stay_so():
    sparse = keras.config.backend() != "torch"  # Which has none.
    first = keras.Input((3,), name="first")
    second = keras.Input((3,), optional=True, sparse=sparse, name="second")
    model = keras.Model([first, second], layers.Dense(2)(first))
    new = replace_layers(model, {layers.Dense: WeightStandardization})
    source = new.get_layer("second")
    assert (source.optional, source.sparse) == (True, sparse)
    assert [tensor.name for tensor in new.inputs] == ["first", "second"]


def test_part_of_a_model_is_a_model():
    model = conv_net()
    part = keras.Model(
        model.get_layer("norm").output, model.get_layer("unscaled").output
    )
    new = replace_layers(part, {layers.BatchNormalization: ghost})
    x = RNG.normal(size=(2, 4, 4, 4)).astype("float32")
    assert_same(part, new, x)


@pytest.mark.parametrize("built", [True, False])
def test_sequential_model_without_an_input(built):
    model = keras.Sequential(
        [layers.BatchNormalization(), layers.Dense(2)], name="stack"
    )
    x = RNG.normal(size=(4, 3)).astype("float32")
    if built:
        model(x)
        randomize(model)
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    assert (type(new), new.name) == (keras.Sequential, "stack")
    assert new.built == built
    if built:
        assert_same(model, new, x)
    else:
        assert new(x).shape == (4, 2)


def test_tied_layers_are_tied_to_the_new_ones():
    inputs = keras.Input((4,))
    encoder = layers.Dense(2, name="encoder")
    code = layers.BatchNormalization()(encoder(inputs))
    model = randomize(keras.Model(inputs, TiedDense(encoder)(code)))
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    assert new.layers[-1].tied_to is new.get_layer("encoder")
    assert_same(model, new, RNG.normal(size=(3, 4)).astype("float32"))


def test_layer_inside_a_layer_belongs_to_it():
    inputs = keras.Input((2, 3))
    outputs = layers.TimeDistributed(layers.Dense(3, name="in"))(inputs)
    model = keras.Model(inputs, layers.Dense(1, name="out")(outputs))
    new = replace_layers(model, {layers.Dense: WeightStandardization})
    assert type(new.layers[1].layer) is layers.Dense
    assert type(new.get_layer("out")) is WeightStandardization


# Flags, state and keys.


def test_frozen_layers_stay_frozen():
    # `clone_model` freezes sequential models, and forgets to freeze others.
    inputs = keras.Input((3,))
    hidden = layers.Dense(3, name="thawed")(inputs)
    outputs = layers.BatchNormalization(name="norm")(hidden)
    inner = keras.Model(inputs, outputs, name="inner")
    inner.trainable = False
    inner.get_layer("thawed").trainable = True
    inputs = keras.Input((None, 3))
    lists = layers.TimeDistributed(layers.Dense(3), name="lists")
    hidden = inner(lists(inputs)[:, 0])
    outputs = layers.BatchNormalization(name="frozen")(hidden)
    outputs = layers.BatchNormalization(name="free")(outputs)
    model = keras.Model(inputs, outputs)
    model.get_layer("frozen").trainable = False
    lists.layer.trainable = False

    def made(layer):
        new = ghost(layer)
        new.trainable = layer.name != "free"
        return new

    new = replace_layers(
        model, {"free": made, layers.BatchNormalization: ghost}
    )
    assert new.trainable
    assert new.get_layer("lists").trainable
    assert not new.get_layer("lists").layer.trainable
    assert not new.get_layer("frozen").trainable
    assert not new.get_layer("free").trainable
    assert not new.get_layer("inner").trainable
    assert not new.get_layer("inner").get_layer("norm").trainable
    assert new.get_layer("inner").get_layer("thawed").trainable


def test_policy_is_that_of_the_old_layer_unless_given():
    inputs = keras.Input((3,))
    x = layers.BatchNormalization(dtype="mixed_bfloat16", name="half")(inputs)
    x = layers.BatchNormalization(dtype="float16", name="other")(x)
    model = keras.Model(inputs, layers.Dense(3, dtype="bfloat16")(x))
    new = replace_layers(
        model,
        {
            "half": ghost,
            "other": lambda layer: layers.LayerNormalization(dtype="float32"),
        },
        forget=("moving_mean", "moving_variance"),
    )
    assert new.get_layer("half").dtype_policy.name == "mixed_bfloat16"
    assert new.get_layer("other").dtype_policy.name == "float32"
    assert new.layers[-1].dtype_policy.name == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    for one, two in zip(
        numbers(model.layers[-1]), numbers(new.layers[-1]), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_policy_comes_back_when_a_function_fails():
    inputs = keras.Input((3,))
    model = keras.Model(
        inputs, layers.BatchNormalization(dtype="bfloat16")(inputs)
    )
    with pytest.raises(ZeroDivisionError):
        replace_layers(model, {layers.Layer: lambda layer: 1 / 0})
    assert keras.config.dtype_policy().name == "float32"


def test_state_that_is_no_weight_is_kept():
    inputs = keras.Input((3,))
    adapted = layers.Normalization()
    adapted.adapt(RNG.normal(3, 2, size=(50, 3)))
    x = layers.Lambda(lambda x: 2 * x)(adapted(inputs))
    model = keras.Model(inputs, layers.BatchNormalization()(x))
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    assert_same(model, new, RNG.normal(size=(4, 3)).astype("float32"))


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="Only it has strings"
)
def test_vocabulary_is_kept():
    inputs = keras.Input((1,), dtype="string")
    lookup = layers.StringLookup()
    lookup.adapt([["b"], ["b"], ["a"]])
    x = layers.Embedding(4, 2)(lookup(inputs))
    model = keras.Model(inputs, layers.BatchNormalization()(x))
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    assert_same(model, new, ops.convert_to_tensor([["a"], ["b"], ["c"]]))


def test_new_model_is_not_compiled_and_needs_no_registered_loss():
    model = conv_net()
    model.compile("sgd", lambda y_true, y_pred: ops.mean(y_pred))
    new = replace_layers(model, {layers.BatchNormalization: ghost})
    assert model.compiled
    assert not new.compiled


def test_first_key_counts_and_none_keeps_a_layer():
    model = conv_net()
    seen = []

    def look(layer):
        seen.append((layer.name, numbers(layer)[0]))

    new = replace_layers(
        model, {"head": look, layers.Dense: WeightStandardization}
    )
    ((name, kernel),) = seen
    assert name == "head"
    np.testing.assert_array_equal(kernel, numbers(model.get_layer("head"))[0])
    assert type(new.get_layer("head")) is layers.Dense
    assert_same(model.get_layer("head"), new.get_layer("head"), np.eye(4))


# Refusals.


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class OwnConstructor(keras.Model):
    def __init__(self, units):
        inputs = keras.Input((3,))
        super().__init__(inputs, layers.Dense(units)(inputs))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Subclassed, "subclassed model"),
        (lambda: layers.Dense(1), "functional or sequential.*Received: model="),
        (lambda: OwnConstructor(2), "OwnConstructor.*constructor is its own"),
    ],
)
def test_models_that_cannot_be_made_anew_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        replace_layers(model(), {layers.Dense: lambda layer: None})


def test_layer_shared_in_and_outside_of_another_is_refused():
    inputs = keras.Input((2, 3))
    dense = layers.Dense(3, name="shared")
    lists = layers.TimeDistributed(dense, name="lists")
    model = keras.Model(inputs, layers.ReLU(name="relu")(lists(dense(inputs))))
    with pytest.raises(ValueError, match="'shared' belongs to '.*' and '.*'"):
        replace_layers(model, {"relu": lambda layer: None})


def test_class_of_a_model_is_kept():
    class Counting(keras.Model):
        pass

    inputs = keras.Input((3,))
    model = Counting(inputs, layers.Dense(2)(inputs), name="counting")
    new = replace_layers(model, {layers.Dense: WeightStandardization})
    assert (type(new), new.name) == (Counting, "counting")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, r"mapping=\{\}"),
        (layers.Dense, "dictionary"),
        ({layers.Dense: layers.Dense(1).name}, "functions"),
        ({keras.Model.fit: ghost}, "classes or names"),
        (
            {"nowhere": ghost, "head": lambda layer: None},
            r"\['nowhere'\], which no layer",
        ),
        ({layers.Conv1D: ghost}, "Conv1D.*no layer fits"),
        ({layers.InputLayer: ghost}, "no layer fits"),
        ({"head": lambda layer: "Dense"}, "Received: Dense for layer 'head'"),
    ],
)
def test_bad_mapping_says_what_was_received(mapping, message):
    with pytest.raises(ValueError, match=message):
        replace_layers(conv_net(), mapping)


def test_one_layer_for_two_is_refused():
    one = layers.Activation("relu")
    model = conv_net()
    with pytest.raises(ValueError, match="new layer each time.*'unscaled'"):
        replace_layers(model, {layers.BatchNormalization: lambda layer: one})


def test_forget_is_a_sequence():
    with pytest.raises(ValueError, match="forget='kernel'"):
        replace_layers(
            conv_net(), {"head": lambda layer: None}, forget="kernel"
        )


# `keras.applications`.


@pytest.mark.slow
@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="One backend tells it all"
)
@pytest.mark.parametrize(
    "name",
    [
        "MobileNetV3Small",
        "EfficientNetV2B0",
        pytest.param("ResNet50V2", marks=pytest.mark.release),
        pytest.param("DenseNet121", marks=pytest.mark.release),
    ],
)
def test_applications_get_other_layers_and_keep_their_weights(name, tmp_path):
    # Rounding grows through a hundred layers, in which 1e-7 become 1e-2.
    keras.config.set_dtype_policy("float64")
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    model = getattr(keras.applications, name)(
        weights=None,
        input_shape=(32, 32, 3),
        classes=3,
        classifier_activation=None,
    )

    def all_of(kind, part=model):
        return [layer for layer in part.layers if type(layer) is kind]

    norms = all_of(layers.BatchNormalization)
    # Those that a normalization follows, as the method needs. With kernels
    # standardized in their gates, squeeze-and-excite nets become chaotic.
    convs = [conv for conv in all_of(layers.Conv2D) if not conv.use_bias]
    dropouts = all_of(layers.Dropout)
    branches = [layer for layer in dropouts if layer.noise_shape]
    for norm in norms:
        for weight, (low, high) in (
            (norm.gamma, (0.5, 1.5)),
            (norm.beta, (-0.5, 0.5)),
        ):
            if weight is not None:
                weight.assign(rng.uniform(low, high, weight.shape))
    # The moving statistics are made to be those of this batch with
    # standardized kernels, or nothing of the inputs would reach the outputs.
    kernels = [ops.convert_to_numpy(conv.kernel).copy() for conv in convs]
    for conv, kernel in zip(convs, kernels, strict=True):
        deviation = np.sqrt(kernel.var((0, 1, 2)) + 1e-5)
        conv.kernel.assign((kernel - kernel.mean((0, 1, 2))) / deviation)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    for dropout in dropouts:
        dropout.rate, dropout.true_rate = 0.0, dropout.rate
    model(x, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for dropout in dropouts:
        dropout.rate = dropout.true_rate
    expected = predict(model, x)
    for conv, kernel in zip(convs, kernels, strict=True):
        conv.kernel.assign(kernel)
    before = numbers(model)

    mapping = {layers.BatchNormalization: ghost}
    if branches:
        mapping[layers.Dropout] = lambda layer: (
            StochasticDepth(layer.rate) if layer.noise_shape else None
        )
    same = replace_layers(model, mapping)
    assert_same(model, same, x, rtol=1e-8)

    def standardized(conv):
        return None if conv.use_bias else WeightStandardization(conv)

    new = replace_layers(model, {**mapping, layers.Conv2D: standardized})
    outputs = predict(new, x)
    assert np.all(np.std(expected, axis=0) > 0.01)  # The inputs matter.
    np.testing.assert_allclose(outputs, expected, rtol=1e-8, atol=1e-8)
    assert len(all_of(GhostBatchNormalization, new)) == len(norms) > 30
    assert len(all_of(WeightStandardization, new)) == len(convs) > 20
    depths = all_of(StochasticDepth, new)
    assert [d.rate for d in depths] == [branch.rate for branch in branches]
    assert (len(depths) > 10) == (name == "EfficientNetV2B0")
    names = [weight.name for weight in model.weights]
    for label, one, two in zip(names, before, numbers(new), strict=True):
        np.testing.assert_array_equal(one, two, label)

    # Eager, because compiling the step of so many layers takes a minute.
    new.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    assert np.isfinite(new.train_on_batch(x, np.array([0, 1, 2, 0])))
    moved = [
        np.any(one != two)
        for one, two in zip(before, numbers(new), strict=True)
    ]
    assert np.mean(moved) > 0.9
    for one, two in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(one, two)
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(predict(loaded, x), predict(new, x))
