import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.recipe import FitSettings
from keras_regimen.recipes.harness.contract.splits import Splits
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.error_metric import error_logged
from keras_regimen.recipes.harness.engine.fitting import (
    Fitting,
    batch_of_evaluation,
    single,
)
from keras_regimen.recipes.harness.engine.news import Teller
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.fixture
def splits():
    rng = np.random.default_rng(0)

    def draw(rows):
        x = rng.normal(size=(rows, 3)).astype("float32")
        return x, (x @ np.ones((3, 1))).astype("float32")

    return Splits(draw(20), draw(8), draw(12))


def fitting(splits, **changes):
    fields = {"epochs": 3, "batch_size": 8, "steps_per_epoch": None}
    others = {
        name: changes.pop(name)
        for name in ("computation", "teller")
        if name in changes
    }
    fields |= {"data": {}, "callbacks": (), "seeds": 1, **changes}
    return Fitting(
        FitSettings(**fields),
        HyperParameters(),
        splits,
        seed=0,
        **others,
    )


def linear(rate=0.1):
    with error_logged("real"):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def test_figures_count_epochs_updates_and_the_budget(splits):
    fit = fitting(splits)
    fit.fit(linear())
    figures = fit.figures()
    # 20 rows in batches of 8: 3 updates an epoch, the last of 4 rows.
    assert figures["steps_per_epoch"] == 3
    assert figures["updates"] == figures["evaluations"] == 9
    assert (figures["epochs"], figures["budget"]) == (3, 9)
    assert set(figures["curves"]) == {
        "loss",
        "rmse",
        "val_loss",
        "val_rmse",
        "test_loss",
        "test_rmse",
    }


@pytest.mark.parametrize(
    ("devices", "steps", "undivided"),
    [
        (2, None, 0),  # The last batch of a pass has 4 rows.
        (8, None, 3),
        (8, 2, 2),  # Six updates are two passes.
    ],
)
def test_updates_that_each_device_computed_whole_are_counted(
    splits, devices, steps, undivided
):
    # JAX's, since there the fit itself is plain `fit`.
    shared = Computation("data_parallel", devices)
    fit = fitting(splits, computation=shared, steps_per_epoch=steps)
    fit.fit(linear())
    assert fit.figures()["undivided_batches"] == undivided


def test_a_hooks_batch_size_that_does_not_divide_is_refused(splits):
    fit = fitting(splits, computation=Computation("data_parallel", 2))
    with pytest.raises(RefusalError, match="a batch of 5 does not divide by 2"):
        fit.fit(linear(), batch_size=5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="mirrored is TensorFlow's"
)
def test_a_data_set_of_the_recipes_own_is_not_shared_out(splits):
    class Own(keras.utils.PyDataset):
        num_batches = 1

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return splits.train

    fit = fitting(splits, computation=Computation("mirrored", 2))
    with pytest.raises(RefusalError, match="shares arrays out.*x=Own"):
        fit.fit(linear(), Own())


@pytest.mark.parametrize(
    ("rows", "replicas", "batch_size"),
    [
        (33, 1, 1024),
        (34, 2, 34),
        (33, 2, 30),  # One row of 33 would leave a replica without any.
        (15, 4, 8),  # After 12 three would be left for four replicas.
        (5000, 2, 1024),
        (5000, 3, 1023),
        (1, 2, 1),
    ],
)
def test_batches_of_an_evaluation_leave_no_replica_without_rows(
    rows, replicas, batch_size
):
    assert batch_of_evaluation(rows, replicas) == batch_size


def test_an_epoch_may_be_any_number_of_updates(splits):
    fit = fitting(splits, steps_per_epoch=2, epochs=7)
    fit.fit(linear())
    figures = fit.figures()
    assert (figures["epochs"], figures["updates"]) == (7, 14)
    assert len(figures["curves"]["val_loss"]) == 7


def test_curves_of_one_phase_are_nan_in_the_others(splits):
    fit = fitting(splits)
    fit.fit(linear(), epochs=2, phase="first")
    x, y = splits.train
    fit.fit(linear(), x, y, epochs=1, phase="blind", validation_data=None)
    curves = fit.figures()["curves"]
    assert fit.figures()["phases"] == [["first", 2], ["blind", 1]]
    assert [np.isnan(v) for v in curves["val_loss"]] == [False, False, True]
    assert not np.isnan(curves["test_loss"]).any()


def test_the_recipes_callbacks_are_new_in_each_fit(splits):
    made = []

    def callbacks(hp):
        made.append(keras.callbacks.EarlyStopping(patience=50))
        return made[-1:]

    fit = fitting(splits, callbacks=callbacks)
    fit.fit(linear())
    fit.fit(linear())
    assert len({id(callback) for callback in made}) == 2


def test_test_curve_is_that_of_the_weights_at_the_end_of_each_epoch(splits):
    losses = []

    class Probe(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            x, y = splits.test
            prediction = self.model.predict(x, verbose=0)
            losses.append(np.mean((prediction - y) ** 2))

    fit = fitting(splits, callbacks=lambda hp: [Probe()])
    fit.fit(linear())
    np.testing.assert_allclose(
        fit.figures()["curves"]["test_loss"], losses, rtol=1e-5
    )


def test_the_clock_leaves_out_what_the_harness_itself_evaluates(splits):
    fit = fitting(splits, epochs=4)
    fit.fit(linear())
    cost = fit.figures()["cost"]
    assert cost["fit_cpu_seconds"] == pytest.approx(
        4 * cost["epoch_cpu_seconds"], abs=1e-3
    )
    assert cost["epoch_cpu_seconds"] == pytest.approx(
        np.median(fit.seconds), abs=1e-5
    )


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 7.0])
def test_a_single_is_short_and_the_same_float32(value):
    assert np.float32(single(np.float32(value))) == np.float32(value)
    assert len(repr(single(np.float32(value)))) <= 14


class Always(Teller):
    """Has something to tell after every epoch."""

    due = True


def test_a_teller_tells_of_all_phases_what_the_curves_then_hold(splits):
    class Ratio(keras.callbacks.Callback):
        """Writes into the logs, as callbacks may."""

        def on_epoch_end(self, epoch, logs=None):
            logs["val_ratio"] = logs["val_loss"] / logs["loss"]

    said = []
    teller = Always(
        "cell", lambda row: row["curves"]["val_ratio"][-1], said.append
    )
    fit = fitting(splits, callbacks=[Ratio()], teller=teller)
    model = linear()
    for epochs in (2, 3):
        fit.fit(model, epochs=epochs)
    assert [n.score for n in said] == pytest.approx(
        fit.curves["val_ratio"], rel=1e-6
    )
    # Nobody knows of the second phase before it begins.
    told = [(n.epoch, n.epochs) for n in said]
    assert told == [(1, 2), (2, 2), (3, 5), (4, 5), (5, 5)]


def test_a_cell_that_tells_can_still_be_gone_on_from(splits):
    teller = Always("cell", lambda row: 0.0, [].append)
    model = linear()
    silent, telling = fitting(splits), fitting(splits, teller=teller)
    assert telling.can_go_on(model) == silent.can_go_on(model)
