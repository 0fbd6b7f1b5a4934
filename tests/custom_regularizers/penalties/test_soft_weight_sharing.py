import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from keras_regimen.custom_regularizers import SoftWeightSharing, regularize

WEIGHTS = np.random.default_rng(0).normal(0, 0.3, (4, 3)).astype("float32")


def parameters(penalty):
    """Returns all that the mixture learns, as one vector."""
    values = (penalty.means, penalty.log_variances, penalty.mixing_logits)
    return np.concatenate([ops.convert_to_numpy(v) for v in values])


def negative_log_likelihood(vector, weights):
    means, log_variances, logits = vector.reshape(3, -1)
    stddevs = np.sqrt(np.exp(log_variances) + 1e-6)
    logs = stats.norm.logpdf(weights.reshape(-1, 1), means, stddevs)
    logs = logs + special.log_softmax(logits)
    return -special.logsumexp(logs, axis=1).sum()


def penalized(penalty, units=(3,)):
    layers = [
        keras.layers.Dense(n, use_bias=False, kernel_regularizer=penalty)
        for n in units
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


def fit_without_data(model, steps=1):
    x, y = np.zeros((steps, 4)), np.zeros((steps, model.output_shape[-1]))
    model.fit(x, y, batch_size=1, verbose=0)


def test_fit_trains_the_mixture_as_numpy_does(central_differences):
    penalty = SoftWeightSharing(3, strength=0.05)
    model = penalized(penalty)
    penalty.mixing_logits.assign([0.3, -0.2, 0.5])
    kernel = model.layers[0].kernel
    kernel.assign(WEIGHTS)
    vector, weights = parameters(penalty), WEIGHTS.astype("float64")
    for _ in range(3):
        of_vector = central_differences(
            lambda v, w=weights: negative_log_likelihood(v, w), vector
        )
        of_weights = central_differences(
            lambda w, v=vector: negative_log_likelihood(v, w), weights
        )
        vector = vector - 0.5 * 0.05 * of_vector
        weights = weights - 0.5 * 0.05 * of_weights
    fit_without_data(model, steps=3)
    np.testing.assert_allclose(parameters(penalty), vector, rtol=0, atol=2e-5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(kernel), weights, rtol=0, atol=2e-5
    )
    moved = np.abs(of_vector.reshape(3, 3)).max(1)
    assert (moved > 1e-2).all()  # Means, variances and proportions.


def test_one_object_is_one_mixture_also_when_loaded(tmp_path):
    model = penalized(SoftWeightSharing(3, 0.05), units=(3, 4, 2))
    assert len(model.trainable_weights) == 3 + 3
    fit_without_data(model, steps=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    first, *others = (layer.kernel_regularizer for layer in loaded.layers)
    assert all(other is first for other in others)
    np.testing.assert_array_equal(
        parameters(first), parameters(model.layers[0].kernel_regularizer)
    )
    losses = [ops.convert_to_numpy(sum(m.losses)) for m in (loaded, model)]
    assert losses[0] == losses[1]
    fit_without_data(loaded)
    assert not np.array_equal(
        parameters(first), parameters(model.layers[0].kernel_regularizer)
    )


def test_two_objects_are_two_mixtures_also_when_loaded(tmp_path):
    inputs = keras.Input((4,))
    outputs = inputs
    for _ in range(2):
        outputs = keras.layers.Dense(
            4, kernel_regularizer=SoftWeightSharing(2)
        )(outputs)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    first, second = (layer.kernel_regularizer for layer in loaded.layers[1:])
    assert first is not second
    assert len(loaded.trainable_weights) == 4 + 6


def test_regularize_makes_one_mixture_of_all_kernels():
    model = penalized(None, units=(3, 2))
    shared = regularize(model, SoftWeightSharing(2, 0.1))
    first, second = (layer.kernel_regularizer for layer in shared.layers)
    assert first is second
    assert len(shared.trainable_weights) == 2 + 3
    assert len(model.trainable_weights) == 2
    plain = regularize(shared, keras.regularizers.L2(0.1))
    for old, new in zip(model.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (old, new)))


def test_weights_gather_around_learned_values():
    penalty = SoftWeightSharing(2, strength=0.01, initial_range=0.3)
    model = penalized(penalty)
    scattered = np.where(WEIGHTS > 0, 0.5, -0.4) + 0.2 * WEIGHTS
    model.layers[0].kernel.assign(scattered)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    fit_without_data(model, steps=200)
    kernel = ops.convert_to_numpy(model.layers[0].kernel)
    means = ops.convert_to_numpy(penalty.means)
    distances = np.abs(kernel.reshape(-1, 1) - means).min(1)
    centers = [scattered[scattered < 0].mean(), scattered[scattered > 0].mean()]
    before = np.abs(scattered.reshape(-1, 1) - centers).min(1)
    assert distances.max() < before.max() / 4
    assert np.isfinite(parameters(penalty)).all()


def test_variances_have_a_floor():
    penalty = SoftWeightSharing(2, 1.0, min_stddev=0.01)
    penalty.log_variances.assign([-200.0, -200.0])
    np.testing.assert_allclose(
        ops.convert_to_numpy(penalty.stddevs), 0.01, rtol=1e-6
    )
    penalty.means.assign([0.0, 1.0])
    at_mean = float(ops.convert_to_numpy(penalty(np.zeros(1))))
    assert at_mean == pytest.approx(-stats.norm.logpdf(0, 0, 0.01) + np.log(2))
    assert float(ops.convert_to_numpy(penalty.mixing).sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"components": 1}, "components=1"),
        ({"components": 2.0}, "components=2.0"),
        ({"components": True}, "components=True"),
        ({"initial_range": 0}, "initial_range=0"),
        ({"min_stddev": np.nan}, "min_stddev=nan"),
    ],
)
def test_bad_arguments_say_what_was_received(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        SoftWeightSharing(**arguments)
