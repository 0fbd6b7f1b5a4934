import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import (
    ConcreteDropout,
    DropBlock1D,
    DropConnect,
    MonteCarloDropout,
    ScheduledDropout,
    StandardDropout,
    StochasticDepth,
    UncertainPrediction,
    VariationalDropout,
    ZoneoutCell,
    ZoneoutLSTM,
    predict_with_uncertainty,
)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def linear_model(*dropout, features=3):
    """Returns a linear model whose weights are 1, 2, 3 and so on."""
    dense = layers.Dense(1, bias_initializer="ones")
    model = keras.Sequential([keras.Input((features,)), *dropout, dense])
    weights = np.arange(1.0, features + 1)[:, None]
    dense.kernel.assign(weights)
    return model, weights[:, 0]


@pytest.mark.parametrize(
    ("dropout", "variance"),
    [
        # Of the factor that multiplies a unit.
        (lambda: layers.Dropout(0.2, seed=1), 0.25),
        (lambda: layers.GaussianDropout(0.2, seed=1), 0.25),
        (lambda: MonteCarloDropout(0.5, seed=1), 1),
        (lambda: ScheduledDropout(0.2, seed=1), 0.25),
    ],
)
def test_moments_of_a_linear_model_are_those_in_closed_form(dropout, variance):
    model, weights = linear_model(dropout())
    row = np.array([1.0, -2.0, 0.5])
    # Each row draws for itself: 512 estimates of the same two numbers.
    x = np.broadcast_to(row, (512, 3)).astype("float32")
    result = predict_with_uncertainty(model, x, samples=40, batch_size=256)
    assert result.mean.shape == result.std.shape == (512, 1)
    assert result.mean.dtype == result.std.dtype == "float64"
    true = variance * np.sum((weights * row) ** 2)
    # The mean of all 40 * 512 samples.
    error = result.mean.mean() - (1 + weights @ row)
    assert abs(error) < 4 * np.sqrt(true / (40 * 512))
    # Unbiased, with a sigma estimated from the rows themselves.
    squares = result.std[:, 0] ** 2
    assert abs(squares.mean() - true) < 4 * squares.std() / np.sqrt(512)
    assert abs(squares.mean() / true - 1) < 0.1
    assert result.entropy is result.mutual_information is None


def test_batch_norm_stays_in_inference_mode():
    norm = layers.BatchNormalization()
    model, weights = linear_model(norm, layers.Dropout(0.2, seed=1))
    x = normal(64, 3) + 5  # Far from the moving statistics, 0 and 1.
    state = [np.copy(w) for w in norm.get_weights()]
    result = predict_with_uncertainty(model, x, samples=200)
    for old, new in zip(state, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    terms = weights * x / np.sqrt(1 + 1e-3)
    sigma = np.sqrt(0.25 * np.sum(terms**2, axis=1))
    error = (result.mean[:, 0] - 1 - terms.sum(axis=1)) / sigma
    assert abs(error).max() < 4.5 / np.sqrt(200)
    np.testing.assert_allclose(result.std[:, 0].mean(), sigma.mean(), rtol=0.05)


def test_batch_norm_inside_of_a_layer_that_drops_stays_in_inference_too():
    layer = Foreign()
    model, _ = linear_model(layer)
    x = normal(64, 3) + 5
    expected = model.predict(x, verbose=0)
    result = predict_with_uncertainty(model, x, samples=200)
    np.testing.assert_array_equal(layer.norm.get_weights()[2], 0)
    error = (result.mean - expected) / result.std
    assert abs(error).max() < 5 / np.sqrt(200)


def coin_model(activation, units):
    """Returns a model that says one thing half the time, else nothing."""
    dense = layers.Dense(units, activation=activation, use_bias=False)
    model = keras.Sequential(
        [keras.Input((1,)), layers.Dropout(0.5, seed=1), dense]
    )
    dense.kernel.assign([[20.0, -20.0][:units]])
    return model


@pytest.mark.parametrize(
    ("activation", "units", "binary"),
    [("softmax", 2, False), ("sigmoid", 1, True)],
)
def test_entropies_of_a_coin_that_is_fair_or_thrown_away(
    activation, units, binary
):
    model = coin_model(activation, units)
    x = np.ones((512, 1), "float32")
    result = predict_with_uncertainty(model, x, samples=64, binary=binary)
    # Dropped: (1/2, 1/2). Kept: (1, 0), as 40 and more in a softmax are.
    shape = (512, 1) if binary else (512,)
    assert result.entropy.shape == result.mutual_information.shape == shape
    share = 2 * (1 - result.mean[:, 0])  # Of the samples that were dropped.
    p = 1 - share / 2
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    np.testing.assert_allclose(result.entropy.ravel(), entropy, rtol=1e-5)
    np.testing.assert_allclose(
        result.mutual_information.ravel(),
        entropy - share * np.log(2),
        rtol=1e-4,
        atol=1e-6,
    )
    # And the share itself: sigma is sqrt(1/4 / (512 * 64)).
    assert abs(share.mean() - 0.5) < 4 * 0.5 / np.sqrt(512 * 64)


def test_samples_that_agree_have_no_mutual_information():
    model = coin_model("softmax", 2)
    x = np.zeros((3, 1), "float32")  # Nothing to drop.
    result = predict_with_uncertainty(model, x, samples=5)
    np.testing.assert_array_equal(result.std, 0)
    np.testing.assert_allclose(result.entropy, np.log(2), rtol=1e-6)
    np.testing.assert_array_equal(result.mutual_information, 0)


def drop_in_attention(x):
    return layers.MultiHeadAttention(2, 4, dropout=0.5)(x, x)


class Foreign(layers.Layer):
    """A layer of somebody else's that says what it is."""

    dropout_like = True

    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization()
        self.draws = keras.random.SeedGenerator(0)

    def build(self, input_shape):
        self.norm.build(input_shape)

    def call(self, inputs, training=None):
        x = self.norm(inputs, training=training)
        if not training:
            return x
        kept = keras.random.uniform(ops.shape(x), seed=self.draws) < 0.5
        return ops.where(kept, 2 * x, 0 * x)


@pytest.mark.parametrize(
    "dropper",
    [
        layers.SpatialDropout1D(0.5),
        layers.AlphaDropout(0.5),
        StandardDropout(0.5),
        StochasticDepth(0.5),
        DropBlock1D(0.5, 2),
        DropConnect(layers.Dense(4), 0.5),
        ConcreteDropout(layers.Dense(4), 100),
        VariationalDropout(layers.Dense(4), 100),
        ZoneoutLSTM(4, cell_rate=0.5),
        layers.RNN(ZoneoutCell(layers.GRUCell(4), 0.5), unroll=True),
        layers.LSTM(4, dropout=0.5),
        layers.GRU(4, recurrent_dropout=0.5),
        layers.Bidirectional(layers.SimpleRNN(4, dropout=0.5)),
        layers.RNN([layers.GRUCell(4), layers.GRUCell(4, dropout=0.5)]),
        layers.TimeDistributed(layers.Dropout(0.5)),
        drop_in_attention,
        keras.Sequential([keras.Sequential([layers.Dropout(0.5)])]),
        Foreign(),
    ],
    ids=lambda dropper: getattr(dropper, "name", "attention"),
)
def test_whatever_drops_is_switched_on_and_off_again(dropper):
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, dropper(inputs))
    # Loops over time take seconds to compile.
    recurrent = isinstance(dropper, (layers.RNN, layers.Bidirectional))
    model.compile(run_eagerly=recurrent)
    x = normal(4, 5, 3)
    before = model.predict(x, verbose=0)  # Compiles the ordinary prediction.
    result = predict_with_uncertainty(model, x, samples=3)
    assert result.std.max() > 0
    assert result.mean.shape == before.shape
    after = model.predict(x, verbose=0)
    np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model(x)), ops.convert_to_numpy(model(x))
    )
    for layer in model._flatten_layers():
        assert "call" not in vars(layer)


def test_weight_scaling_differs_from_sampling_only_in_the_mean():
    # The 2014 layer scales at inference: a sample must not be scaled.
    model, weights = linear_model(StandardDropout(0.5, seed=1))
    x = np.ones((256, 3), "float32")
    mean = predict_with_uncertainty(model, x, samples=100).mean.mean()
    sigma = np.sqrt(0.25 * np.sum(weights**2) / (256 * 100))
    assert abs(mean - (1 + 0.5 * weights.sum())) < 4 * sigma


def test_inputs_and_outputs_keep_their_structure():
    first, second = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    dropped = layers.Dropout(0.5)(layers.Concatenate()([first, second]))
    model = keras.Model(
        {"a": first, "b": second},
        {"classes": layers.Softmax()(dropped), "raw": dropped},
    )
    x = {"a": normal(7, 2), "b": normal(7, 2)}
    result = predict_with_uncertainty(model, x, samples=3, batch_size=4)
    assert set(result) == {"classes", "raw"}
    assert isinstance(result["raw"], UncertainPrediction)
    assert result["raw"].mean.shape == (7, 4)
    assert result["raw"].entropy is None
    assert result["classes"].entropy.shape == (7,)
    np.testing.assert_allclose(result["classes"].mean.sum(-1), 1, rtol=1e-6)


def test_seeds_make_the_result_reproducible():
    def predict():
        model, _ = linear_model(layers.Dropout(0.5, seed=1))
        return predict_with_uncertainty(model, np.ones((8, 3)), samples=4)

    np.testing.assert_array_equal(predict().mean, predict().mean)


def test_all_is_restored_when_a_pass_fails():
    dropout = layers.Dropout(0.5)
    model, _ = linear_model(dropout)
    x = np.ones((2, 3), "float32")
    before = model.predict(x, verbose=0)
    with pytest.raises(Exception, match=r"(?s)(shape|axis|size)"):
        predict_with_uncertainty(model, np.ones((2, 5)), samples=2)
    assert "call" not in vars(dropout)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


@pytest.mark.parametrize(
    "dropout",
    [
        (),
        (layers.Dropout(0.0),),
        (ScheduledDropout(0.0),),
        (layers.GaussianNoise(1.0), layers.BatchNormalization()),
    ],
)
def test_model_that_drops_nothing_is_refused(dropout):
    model, _ = linear_model(*dropout)
    with pytest.raises(ValueError, match=f"no layer that drops.*{model.name}"):
        predict_with_uncertainty(model, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 1}, "`samples` must be.*samples=1"),
        ({"samples": 2.5}, "`samples` must be.*samples=2.5"),
        ({"batch_size": 0}, "`batch_size` must be.*batch_size=0"),
        ({"binary": "yes"}, "`binary` must be a boolean.*binary='yes'"),
        ({"x": [1.0, 2.0]}, "`x` must be an array.*float"),
        ({"x": [np.ones(2), np.ones(3)]}, "same length"),
        ({"model": "model"}, "`model` must be a Keras model.*model"),
        ({"binary": True}, r"probabilities in \[0, 1\].*from"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    model, _ = linear_model(layers.Dropout(0.5))
    arguments = {"model": model, "x": np.ones((2, 3)), **arguments}
    with pytest.raises(ValueError, match=message):
        predict_with_uncertainty(**arguments)
