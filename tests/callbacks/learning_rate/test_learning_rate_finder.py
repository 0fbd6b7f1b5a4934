import builtins
import math
import re

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers

from keras_regimen.callbacks import LearningRateFinder
from keras_regimen.callbacks.learning_rate.learning_rates import (
    rate_of,
    rated_optimizers,
)
from keras_regimen.custom_optimizers import Lookahead, PolyakAveraging, WarmUp

BACKEND = keras.config.backend()
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def model(optimizer="sgd", dropout=0.0, **options):
    keras.utils.set_random_seed(0)
    drop = [layers.Dropout(dropout, seed=0)] if dropout else []
    net = keras.Sequential([keras.Input((3,)), *drop, layers.Dense(1)])
    net.compile(optimizer, "mse", metrics=["mae"], **options)
    return net


def state(net):
    variables = [*net.variables, *net.optimizer.variables]
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def several():
    return optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(0.25), {".*bias": Lookahead(optimizers.Adam(0.5))}
        )
    )


class Rates(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        owners = rated_optimizers(self.model.optimizer).values()
        self.seen.append([rate_of(owner) for owner in owners])


@pytest.fixture(scope="module")
def plain():
    """One test of a plain model that is trained a little, and the state."""
    net = model(optimizers.SGD(2**-8, momentum=0.9), dropout=0.1)
    net.fit(X, Y, batch_size=12, verbose=0)
    before = state(net)
    finder, rates = LearningRateFinder(1e-4, 1e4, steps=33), Rates()
    history = net.fit(
        X,
        Y,
        batch_size=12,
        epochs=40,
        shuffle=False,
        verbose=0,
        callbacks=[finder, rates],
    )
    return net, before, finder, rates.seen, history


def test_the_rate_rises_by_one_factor_until_the_loss_explodes(plain):
    _, _, finder, seen, history = plain
    seen = np.array(seen)[:, 0]
    expected = 1e-4 * 10 ** (np.arange(len(seen)) / 4)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    np.testing.assert_allclose(finder.rates, expected, rtol=1e-12)
    assert 10 < len(seen) < 33
    assert finder.smoothed[-1] > 4 * finder.smoothed.min()
    assert np.all(finder.smoothed[:-1] <= 4 * finder.smoothed[:-1].min())
    assert "its lowest was" in finder.reason
    assert history.params["stop_reason"] == finder.reason


def test_everything_is_as_before_to_the_bit(plain):
    net, before, *_ = plain
    for one, other in zip(before, state(net), strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(net.optimizer.learning_rate) == 2**-8
    assert float(net.metrics[0].result()) == 0


def test_losses_are_those_of_single_batches():
    net = model()
    kernel, bias = net.get_weights()
    finder = LearningRateFinder(1e-9, 1e-8, steps=3)
    net.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[finder])
    # Such rates move nothing.
    expected = np.mean((X @ kernel + bias - Y).reshape(3, 8) ** 2, axis=1)
    np.testing.assert_allclose(finder.losses, expected, rtol=1e-5)
    assert finder.reason == "all 3 learning rates were tried"


def test_all_optimizers_of_several_get_the_rate_and_their_own_back():
    net = model(several())
    finder, rates = LearningRateFinder(0.01, 0.04, steps=5), Rates()
    found = finder.find(net, X, Y, batch_size=24, callbacks=[rates])
    expected = 0.01 * 2.0 ** (np.arange(5) / 2)
    np.testing.assert_allclose(
        rates.seen, np.stack([expected] * 2, axis=1), rtol=1e-5
    )
    assert found in finder.rates
    after = {
        name: rate_of(optimizer)
        for name, optimizer in rated_optimizers(net.optimizer).items()
    }
    assert after == {"learning_rate_sgd": 0.25, "learning_rate_adam": 0.5}


@pytest.mark.parametrize(
    "make", [several, lambda: PolyakAveraging(optimizers.SGD(0.05))]
)
def test_training_after_it_is_training_without_it(make):
    with_test, without = model(make()), model(make())
    # An optimizer that has made no step yet, and owns copies of weights.
    finder = LearningRateFinder(1e-3, 1, steps=4)
    with_test.fit(X, Y, epochs=9, batch_size=8, verbose=0, callbacks=[finder])
    assert len(finder.losses) == 4
    for net in (with_test, without):
        net.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(state(with_test), state(without), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_exception_leaves_the_model_as_it_was():
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("on purpose")

    net = model(optimizers.SGD(0.125))
    before = net.get_weights()
    with pytest.raises(RuntimeError, match="on purpose"):
        LearningRateFinder().find(net, X, Y, callbacks=[Fail()])
    for one, other in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(net.optimizer.learning_rate) == 0.125


@pytest.mark.parametrize(
    ("losses", "ends_at", "reason"),
    [
        ([4.0, 2.0, 8.5], 2, "smoothed loss is 8.5.*of 1,.*lowest was 2"),
        ([4.0, 2.0, 7.5], None, None),
        ([4.0, math.nan], 1, "loss is nan at a learning rate of 0.1"),
        ([4.0, math.inf], 1, "loss is inf"),
        ([-4.0, -2.0, 9.0], 2, "lowest was -4"),
        ([1.0] * 5, 4, "all 5"),
    ],
)
def test_the_test_ends(losses, ends_at, reason):
    finder = LearningRateFinder(0.01, 100.0, steps=5, smoothing=0.0)
    found = [finder.evaluate(loss) for loss in losses]
    stops = [place for place, (stop, _) in enumerate(found) if stop]
    assert stops == ([] if ends_at is None else [ends_at])
    if reason is not None:
        assert re.search(reason, found[-1][1])
    # What is no number is no point of the curve.
    assert len(finder.losses) == np.isfinite(losses).sum()


def test_suggestions_come_from_the_smoothed_curve():
    finder = LearningRateFinder(0.01, 100.0, steps=5, smoothing=0.5)
    for loss in (4.0, 4.0, 3.0, 0.0, 1.0):
        finder.evaluate(loss)
    # Smoothed: 4, 4, 24/7, 8/5, 40/31.
    np.testing.assert_allclose(
        finder.smoothed, [4, 4, 24 / 7, 8 / 5, 40 / 31], rtol=1e-12
    )
    # Slopes at the places 1 to 3: -0.29, -1.2, -1.07.
    assert finder.suggestion("steepest") == pytest.approx(1.0)
    # From place 0, the first of the two that are equal, to 4.
    assert finder.suggestion("valley") == pytest.approx(1.0)
    with pytest.raises(ValueError, match="\"valley\".*method='best'"):
        finder.suggestion("best")


def test_the_plot_shows_curve_and_suggestions(monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")
    finder = LearningRateFinder(0.01, 100.0, steps=5)
    for loss in (4.0, 3.5, 2.0, 1.0, 3.0):
        finder.evaluate(loss)
    ax = finder.plot(figure.Figure().subplots())
    np.testing.assert_allclose(ax.lines[0].get_xydata()[:, 1], finder.losses)
    np.testing.assert_allclose(ax.lines[1].get_xydata()[:, 1], finder.smoothed)
    assert ax.get_xscale() == "log"
    assert ax.get_legend().get_texts()[3].get_text() == "valley: 0.1"

    imported = builtins.__import__

    def without_matplotlib(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imported(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"keras-regimen\[recipes\]"):
        finder.plot()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            lambda: model(optimizers.SGD(WarmUp(0.1, 2))),
            "it has a schedule.*learning_rate=<",
        ),
        (
            lambda: model(optimizers.SGD(gradient_accumulation_steps=2)),
            "one update.*gradient_accumulation_steps=2",
        ),
        (
            lambda: model(steps_per_execution=1 if BACKEND == "torch" else 4),
            "one execution.*steps_per_execution=4",
        ),
    ],
)
def test_what_has_no_rate_for_each_batch_is_refused(net, message):
    net = net()
    if net.steps_per_execution == 1 and "execution=4" in message:
        pytest.skip("PyTorch knows no steps_per_execution.")
    with pytest.raises(ValueError, match=message):
        LearningRateFinder().find(net, X, Y)


def test_a_model_that_is_not_built_is_refused():
    net = keras.Sequential([layers.Dense(1)])
    net.compile("sgd", "mse")
    finder = LearningRateFinder()
    finder.set_model(net)
    with pytest.raises(ValueError, match="must be built.*not built"):
        finder.on_train_begin()


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_learning_rate": 0.0},
        {"min_learning_rate": 2.0, "max_learning_rate": 1.0},
        {"max_learning_rate": math.inf},
        {"max_learning_rate": math.nan},
        {"steps": 2},
        {"smoothing": 1.0},
        {"smoothing": math.nan},
        {"stop_factor": 1.0},
    ],
)
def test_bad_arguments_are_refused(arguments):
    name, value = list(arguments.items())[-1]
    with pytest.raises(ValueError, match=f"`{name}` .*{name}={value}"):
        LearningRateFinder(**arguments)
