from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.recipe import FitSettings
from keras_regimen.recipes.harness.contract.splits import Splits
from keras_regimen.recipes.harness.engine.fitting import Fitting
from keras_regimen.recipes.harness.engine.own_fit import fit_own
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.fixture
def fitting():
    x = np.linspace(-1, 1, 12, dtype="float32")[:, None]
    settings = FitSettings({}, 3, 4, None, (), 1)
    splits = Splits((x, 2 * x), (x[:5], x[:5]), (x[:4], x[:4]))
    return Fitting(settings, None, splits, seed=0, watch_test=False)


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def test_it_is_called_as_keras_tuner_does_and_recorded(fitting, model, capsys):
    histories = []

    def fit(hp, model, *args, **kwargs):
        history = model.fit(*args, batch_size=6, verbose=1, **kwargs)
        histories.append(history)
        return history

    assert fit_own(fit, SimpleNamespace(), model, fitting) == {}
    assert fitting.curves.keys() == histories[0].history.keys()
    for name, values in histories[0].history.items():
        assert fitting.curves[name] == pytest.approx(values, rel=1e-6)
    assert len(fitting.seconds) == 3
    # Its bars would be drawn over the search's own table.
    assert capsys.readouterr().out == ""


def test_a_history_counts_where_callbacks_are_not_handed_on(fitting, model):
    def fit(hp, model, x, y, **kwargs):
        return model.fit(x, y, epochs=2, verbose=0)

    fit_own(fit, None, model, fitting)
    assert len(fitting.curves["loss"]) == 2
    assert fitting.phases == [["fit 1", 2]]


@pytest.mark.parametrize(
    ("outcome", "values"),
    [
        (0.25, {"objective": 0.25}),
        (np.float32(0.5), {"objective": 0.5}),
        ({"val_loss": 0.5}, {"val_loss": 0.5}),
        ([0.125], {"objective": 0.125}),
        (None, {}),
    ],
)
def test_what_it_returns_is_read_as_keras_tuner_reads_it(
    fitting, model, outcome, values
):
    assert fit_own(lambda *a, **k: outcome, None, model, fitting) == values


@pytest.mark.parametrize("outcome", ["good", [1.0, 2.0]])
def test_what_is_no_score_is_refused(fitting, model, outcome):
    with pytest.raises(RefusalError, match="must return a History"):
        fit_own(lambda *a, **k: outcome, None, model, fitting)
