import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import pretrain_greedily

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5)).astype("float32")
Y = RNG.integers(0, 3, 12).astype("int32")
OPTIONS = {"epochs": 2, "batch_size": 4, "shuffle": False, "verbose": 0}


def dense(units, name, activation="sigmoid"):
    # With a seed of its own, so that a copy of its config starts equal.
    return layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=3),
        name=name,
    )


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.3),
        "sparse_categorical_crossentropy",
        run_eagerly=True,
    )
    return model


def deep():
    stack = [
        keras.Input((5,)),
        dense(4, "first"),
        dense(6, "second"),
        dense(3, "head", "softmax"),
    ]
    return compiled(keras.Sequential(stack))


def three_updates(model, x, y):
    """Trains without what an epoch of `fit` costs."""
    for _ in range(3):
        model.train_on_batch(x, y)


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def assert_equal(found, expected):
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, two)


def scrambled(model, x, y):
    """Changes what training would, without what compiling it costs."""
    model(x, training=True)  # Moving averages.
    for weight in model.trainable_weights:
        weight.assign(RNG.normal(size=weight.shape))


class Stages:
    """A `fit` that keeps what it trained."""

    def __init__(self):
        self.models = []
        self.before = []
        self.after = []

    def __call__(self, model, x, y, **arguments):
        self.models.append(model)
        self.before.append(numbers(model))
        scrambled(model, x, y)
        self.after.append(numbers(model))
        self.arguments = arguments


# Stages, against models made by hand and trained by plain `fit`.


def test_stages_equal_shallow_models_and_plain_fit_to_the_bit():
    def in_graph(model):
        model.compile(keras.optimizers.Adam(0.01), model.loss)
        return model

    new = pretrain_greedily(in_graph(deep()), X, Y, **OPTIONS)
    first, second = dense(4, "first"), dense(6, "second")
    one_hidden = keras.Sequential(
        [keras.Input((5,)), first, dense(3, "readout", "softmax")]
    )
    in_graph(compiled(one_hidden)).fit(X, Y, **OPTIONS)
    first.trainable = False
    head = dense(3, "head", "softmax")
    two_hidden = keras.Sequential([keras.Input((5,)), first, second, head])
    in_graph(compiled(two_hidden)).fit(X, Y, **OPTIONS)
    assert_equal(numbers(new), numbers(two_hidden))


def test_second_stage_is_a_shallow_model_on_the_features_of_the_first():
    new = pretrain_greedily(deep(), X, Y, fit=three_updates)
    kernel, bias = numbers(new)[:2]
    features = 1 / (1 + np.exp(-(X @ kernel + bias)))
    shallow = keras.Sequential(
        [keras.Input((4,)), dense(6, "second"), dense(3, "head", "softmax")]
    )
    three_updates(compiled(shallow), features, Y)
    for found, expected in zip(numbers(new)[2:], numbers(shallow), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_without_freezing_all_layers_below_a_head_are_trained():
    new = pretrain_greedily(deep(), X, Y, freeze=False, fit=three_updates)
    first = dense(4, "first")
    one_hidden = keras.Sequential(
        [keras.Input((5,)), first, dense(3, "readout", "softmax")]
    )
    three_updates(compiled(one_hidden), X, Y)
    two_hidden = keras.Sequential(
        [
            keras.Input((5,)),
            first,
            dense(6, "second"),
            dense(3, "head", "softmax"),
        ]
    )
    three_updates(compiled(two_hidden), X, Y)
    assert_equal(numbers(new), numbers(two_hidden))


def test_the_model_given_is_left_alone_and_the_new_one_trains(tmp_path):
    model = deep()
    before = numbers(model)
    new = pretrain_greedily(model, X, Y, fit=scrambled)
    assert_equal(numbers(model), before)
    assert (type(new), new.name) == (type(model), model.name)
    assert not new.compiled
    assert all(layer.trainable for layer in new.layers)
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras", compile=False)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded(X)), ops.convert_to_numpy(new(X))
    )
    pretrained = numbers(new)
    three_updates(compiled(new), X, Y)
    for one, two in zip(pretrained, numbers(new), strict=True):
        assert np.all(one != two)


# What belongs to a stage.


def test_what_stands_between_belongs_to_the_stage_before_and_then_rests():
    inputs = keras.Input((5,))
    x = layers.Rescaling(0.5)(inputs)
    x = dense(4, "first", None)(x)
    x = layers.BatchNormalization(momentum=0.5)(x)
    x = layers.Activation("sigmoid")(x)
    x = layers.Dropout(0.5)(x)
    x = dense(4, "second")(x)
    model = compiled(keras.Model(inputs, dense(3, "head", "softmax")(x)))
    stages = Stages()
    new = pretrain_greedily(model, X, Y, fit=stages)
    one, two = stages.models
    # Kernel, bias, gamma and beta of the stage; kernel and bias above it.
    assert len(one.trainable_weights) == 6
    assert len(two.trainable_weights) == 4
    # Moving averages, too, stay as their own stage left them.
    assert np.all(stages.after[0][4] != stages.before[0][4])
    assert_equal(stages.before[1][:6], stages.after[0][:6])
    assert_equal(stages.after[1][:6], stages.after[0][:6])
    assert_equal(numbers(new), stages.after[1])
    # A frozen stage is a fixed function: no dropout, no statistics of a batch.
    outputs = [
        [ops.convert_to_numpy(stage(X, training=on)) for on in (True, False)]
        for stage in stages.models
    ]
    assert np.any(outputs[0][0] != outputs[0][1])
    np.testing.assert_array_equal(*outputs[1])


def test_masks_pass_through_frozen_layers():
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(5, 3, mask_zero=True)(inputs)
    x = layers.SimpleRNN(4, return_sequences=True)(x)
    x = layers.SimpleRNN(4, name="second")(x)
    model = compiled(keras.Model(inputs, dense(3, "head", "softmax")(x)))
    tokens = RNG.integers(1, 5, (12, 6)).astype("int32")
    tokens[:, 4:] = 0
    heads = [
        dense(3, "head", "softmax"),
        *(layers.SimpleRNN(3, activation="softmax") for _ in range(2)),
    ]
    stages = []
    pretrain_greedily(
        model,
        tokens,
        Y,
        head=heads.pop,
        fit=lambda stage, x, y: stages.append(stage),
    )
    assert len(stages) == 3  # The embedding has one.
    long, short = (
        ops.convert_to_numpy(stages[-1](t, training=True))
        for t in (tokens, tokens[:, :4])
    )
    np.testing.assert_allclose(long, short, rtol=1e-5)


def test_temporary_heads_take_images_flat_and_the_last_is_the_own_one():
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(2, 3, activation="relu", name="conv")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(3, 2, activation="relu", name="deeper")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = compiled(keras.Model(inputs, dense(3, "head", "softmax")(x)))
    images = RNG.normal(size=(12, 6, 6, 1)).astype("float32")
    stages = Stages()
    new = pretrain_greedily(model, images, Y, fit=stages)
    kinds = [
        [type(layer).__name__ for layer in stage.layers]
        for stage in stages.models
    ]
    assert kinds[0][1:] == ["Conv2D", "MaxPooling2D", "Flatten", "Dense"]
    assert kinds[1][2:] == ["Conv2D", "GlobalAveragePooling2D", "Dense"]
    assert_equal(numbers(new)[-2:], stages.after[1][-2:])


def test_heads_of_a_function_are_new_and_leave_the_own_one_as_it_was():
    model = deep()
    made = []

    def head():
        made.append(
            keras.Sequential([layers.Dense(5), layers.Dense(3, "softmax")])
        )
        return made[-1]

    new = pretrain_greedily(model, X, Y, head=head, fit=scrambled)
    assert len(made) == 2
    assert_equal(numbers(new)[4:], numbers(model)[4:])
    for one, two in zip(numbers(new)[:4], numbers(model)[:4], strict=True):
        assert np.all(one != two)


def test_a_nested_model_is_one_stage_and_frozen_layers_are_none():
    block_input = keras.Input((5,))
    branch = dense(5, "in_block")(block_input)
    block = keras.Model(block_input, branch + block_input, name="block")
    inputs = keras.Input((5,))
    x = dense(5, "frozen")(inputs)
    x = block(x)
    x = dense(4, "above")(x)
    model = keras.Model(inputs, dense(3, "head", "softmax")(x))
    model.get_layer("frozen").trainable = False
    stages = Stages()
    new = pretrain_greedily(compiled(model), X, Y, fit=stages)
    assert len(stages.models) == 2
    names = [layer.name for layer in stages.models[0].layers]
    assert names[1:] == ["frozen", "block", "head"]
    assert_equal(numbers(new)[:2], numbers(model)[:2])
    assert np.all(numbers(new)[2] != numbers(model)[2])


def test_optimizer_and_loss_are_those_of_the_model_and_state_starts_anew():
    stages = Stages()
    model = deep()
    three_updates(model, X, Y)
    pretrain_greedily(model, X, Y, fit=stages, epochs=7)
    assert stages.arguments == {"epochs": 7}
    for stage in stages.models:
        assert stage.loss == "sparse_categorical_crossentropy"
        assert stage.optimizer is not model.optimizer
        config = stage.optimizer.get_config()
        assert config == model.optimizer.get_config()
        assert int(stage.optimizer.iterations) == 0


# Refusals.


def branched():
    inputs = keras.Input((5,))
    x = layers.Dense(5)(inputs)
    return compiled(keras.Model(inputs, layers.Dense(3)(x + inputs)))


def shared():
    inputs = keras.Input((5,))
    layer = layers.Dense(5)
    return compiled(keras.Model(inputs, layers.Dense(3)(layer(layer(inputs)))))


def two_inputs():
    inputs = [keras.Input((5,)), keras.Input((5,))]
    x = layers.Dense(5)(inputs[0])
    return compiled(keras.Model(inputs, layers.Dense(3)(x)))


def two_outputs():
    inputs = keras.Input((5,))
    x = layers.Dense(5)(inputs)
    return compiled(keras.Model(inputs, [layers.Dense(3)(x), x]))


def subclassed():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    model = compiled(Subclassed())
    model(X)
    return model


@pytest.mark.parametrize("model", [branched, shared, two_inputs, two_outputs])
def test_what_is_no_chain_is_refused(model):
    with pytest.raises(ValueError, match="must be a chain.*Received: model=<"):
        pretrain_greedily(model(), X, Y)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((5,))]), "compiled with"),
        (lambda: compiled(keras.Sequential([layers.Dense(3)])), "keras.Input"),
        (
            lambda: compiled(
                keras.Sequential([keras.Input((5,)), layers.Dense(3)])
            ),
            "Received: 1 in model=",
        ),
        (subclassed, "functional or sequential"),
    ],
)
def test_models_without_stages_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        pretrain_greedily(model(), X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": 1}, "freeze=1"),
        ({"head": 3}, "head=3"),
        ({"head": layers.Dense(3)}, "head=<Dense"),
        ({"fit": "fit"}, "fit=fit"),
    ],
)
def test_bad_arguments_say_what_was_received(options, message):
    with pytest.raises(ValueError, match=message):
        pretrain_greedily(deep(), X, Y, **options)
