import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import Lookahead


def path(optimizer, weight, gradients):
    """Returns the weight after each step."""
    variable = keras.Variable(np.array(weight, "float32"))
    found = []
    for gradient in gradients:
        gradient = ops.convert_to_tensor(np.array(gradient, "float32"))
        optimizer.apply([gradient], [variable])
        found.append(ops.convert_to_numpy(variable).copy())
    return np.stack(found)


def test_goes_forward_and_a_part_of_the_way_back():
    optimizer = Lookahead(keras.optimizers.SGD(1.0), 2, 0.5)
    np.testing.assert_array_equal(path(optimizer, 3.0, [1.0] * 4), [2, 2, 1, 1])


def test_path_is_that_of_optax():
    optax = pytest.importorskip("optax")
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 2)).astype("float32")
    gradients = rng.normal(size=(20, 3, 2)).astype("float32")
    reference = optax.lookahead(optax.adam(0.1), 3, 0.25)
    parameters = optax.LookaheadParams.init_synced(weight)
    state, expected = reference.init(parameters), []
    for gradient in gradients:
        updates, state = reference.update(gradient, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        expected.append(np.asarray(parameters.fast))
    optimizer = Lookahead(keras.optimizers.Adam(0.1), 3, 0.25)
    found = path(optimizer, weight, gradients)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("period", [1, 3])
def test_whole_steps_are_the_inner_optimizer_to_the_bit(period):
    rng = np.random.default_rng(0)
    weight, gradients = rng.normal(size=3), rng.normal(size=(7, 3))
    found = path(Lookahead("adam", period, 1), weight, gradients)
    plain = path(keras.optimizers.Adam(), weight, gradients)
    np.testing.assert_array_equal(found, plain)


def test_counts_steps_and_not_accumulated_gradients():
    inner = keras.optimizers.SGD(1.0, gradient_accumulation_steps=3)
    found = path(Lookahead(inner, 2, 0.5), 3.0, [1.0] * 12)
    np.testing.assert_array_equal(found, [3, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1])


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}])
def test_slow_weights_start_from_the_weights_under_fit(options):
    dense = keras.layers.Dense(
        1, use_bias=False, kernel_initializer=keras.initializers.Constant(3.0)
    )
    model = keras.Sequential([keras.Input((1,)), dense])
    optimizer = Lookahead(keras.optimizers.SGD(1.0), 2, 0.5)
    model.compile(optimizer, lambda _, y: y, **options)
    x = np.ones((4, 1))
    model.fit(x, x, batch_size=1, verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(dense.kernel), 1)


@pytest.mark.slow
def test_noise_is_damped_as_the_paper_says():
    """On a noisy quadratic, by a factor that follows from its equations."""
    rate, steps, share = 0.5, 5, 0.5
    left = (1 - rate) ** steps
    # Proposition 2, with variance 1 of the inner optimizer's own.
    expected = (
        share**2
        * (1 - left**2)
        / (share**2 * (1 - left**2) + 2 * share * (1 - share) * (1 - left))
    )
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(150, 4000)).astype("float32")

    def variance(optimizer):
        variable = keras.Variable(np.zeros(4000))
        found = []
        for step, draw in enumerate(noise, start=1):
            gradient = ops.convert_to_numpy(variable) - draw
            optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
            if step > 30 and step % steps == 0:
                found.append(np.var(ops.convert_to_numpy(variable)))
        return np.mean(found)

    sgd = variance(keras.optimizers.SGD(rate))
    ours = variance(Lookahead(keras.optimizers.SGD(rate), steps, share))
    # 24 variances of 4000 draws, whose neighbours are related: one sigma of
    # each mean is below 0.007 of it.
    assert ours / sgd == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sync_period", 0),
        ("sync_period", 2.5),
        ("slow_step_size", 0.0),
        ("slow_step_size", 1.1),
        ("slow_step_size", float("nan")),
    ],
)
def test_bad_argument_says_what_was_received(name, value):
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}={value}"):
        Lookahead("sgd", **{name: value})
