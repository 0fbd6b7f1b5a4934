import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.engine import kernel_cache, training
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.evidence.discovery import load


def row_of(file, arm="deep", seed=0, scale="cpu", **settings):
    fixed = load(file).arms[arm].on()
    row = training.run_cell(
        Cell(file.stem, str(file), arm, seed, scale, "", {**fixed, **settings})
    )
    assert row["status"] == "done", row.get("traceback")
    return row


@pytest.fixture
def edited(fitted):
    """Returns a function that edits the fitted recipe's text."""

    def edit(*changes):
        text = fitted.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        fitted.write_text(text)
        return fitted

    return edit


def test_a_row_says_what_was_run_and_what_came_out(fitted):
    row = row_of(fitted)
    # 60 rows in batches of 16: 4 updates, the last of 12 rows; 4 epochs.
    assert (row["steps_per_epoch"], row["updates"], row["budget"]) == (
        4,
        16,
        16,
    )
    assert row["items"] == {"train": 60, "validation": 30, "test": 50}
    # 2*4+4, 4*4+4, 4*2+2.
    assert row["parameters"] == 12 + 20 + 10
    assert row["hyperparameters"] == {
        "depth": 2,
        "rate": 0.0,
        "learning_rate": 0.1,
    }
    assert {len(curve) for curve in row["curves"].values()} == {4}
    assert len(row["fingerprint"]) == 64


def test_the_row_is_what_plain_keras_gives(fitted):
    """The harness against `fit` and `evaluate`, written out by hand."""
    row = row_of(fitted)
    recipe = load(fitted)
    splits = recipe.at("cpu").data[""](0).to("vector", "classes")
    data, hp = training.Data(splits), training.HyperParameters({"depth": 2})
    model = training.prepared(recipe, hp, data, seed=0)
    order = training.Fitting(recipe.at("cpu"), hp, splits, seed=0).order
    curve = []
    x, y = splits.train
    for _ in range(4):
        rows = order.permutation(60)
        model.fit(x[rows], y[rows], batch_size=16, shuffle=False, verbose=0)
        curve.append(model.evaluate(*splits.test, verbose=0)[0])
    np.testing.assert_allclose(row["curves"]["test_loss"], curve, rtol=1e-5)
    wrong = model.predict(splits.test[0], verbose=0).argmax(axis=1)
    error = np.mean(wrong != splits.test[1])
    assert row["final"]["test_error"] == pytest.approx(error)
    train = model.evaluate(x, y, verbose=0)[0]
    assert row["final"]["train_loss"] == pytest.approx(train, rel=1e-5)


def numbers(row):
    return {key: row[key] for key in ("curves", "final", "fingerprint")}


def test_same_seed_same_result_and_other_seed_other_result(fitted):
    assert numbers(row_of(fitted)) == numbers(row_of(fitted))
    assert row_of(fitted)["curves"] != row_of(fitted, seed=1)["curves"]


def test_a_reused_compiled_epoch_gives_the_same_numbers(fitted, monkeypatch):
    """Dropout and all: what a fresh process would have computed."""
    # Other tests of this process may have left a random state.
    monkeypatch.setattr(kernel_cache, "_drawn", 0)
    training.reuse.__globals__["_compiled"].clear()
    before = training.fresh_models
    fresh = row_of(fitted, seed=3, rate=0.5)
    assert training.fresh_models == before + 1
    row_of(fitted, seed=4, rate=0.5)
    again = row_of(fitted, seed=3, rate=0.5)
    assert training.fresh_models == before + 1
    assert numbers(fresh) == numbers(again)


def test_another_rate_is_not_hidden_by_a_compiled_epoch(fitted):
    low = row_of(fitted, rate=0.1)
    assert low["curves"]["loss"] != row_of(fitted, rate=0.8)["curves"]["loss"]


def test_a_model_built_from_the_rows_is_never_reused(edited):
    file = edited(
        (
            "model = keras.Sequential([keras.Input(data.input_shape)])",
            "norm = keras.layers.Normalization()\n"
            "    norm.adapt(data.train[0])\n"
            "    inputs = keras.Input(data.input_shape)\n"
            "    model = keras.Sequential([inputs, norm])",
        )
    )
    one = row_of(file, seed=0)
    before = training.fresh_models
    row_of(file, seed=1)
    assert training.fresh_models == before + 1
    assert numbers(row_of(file, seed=0)) == numbers(one)


def test_arms_see_the_same_order_of_rows(edited):
    file = edited(
        ("import keras\n", "import keras\n\nSEEN = []\n"),
        (
            "    return model\n",
            "    model.SEEN = SEEN\n    return model\n",
        ),
    )
    deep, flat = (row_of(file, arm=arm) for arm in ("deep", "flat"))
    assert deep["fingerprint"] == flat["fingerprint"]
    settings = load(file).at("cpu")
    splits = settings.data[""](0).to("vector", "classes")
    hp = training.HyperParameters()
    first, second = (
        training.Fitting(settings, hp, splits, seed=0).order for _ in range(2)
    )
    np.testing.assert_array_equal(first.permutation(60), second.permutation(60))


TWO_PHASES = """
def train(hp, model, data, fit):
    fit(model, epochs=2, phase="coarse")
    model.optimizer.learning_rate = 0.0
    fit(model, epochs=3, phase="frozen")
    return model


def evaluate(hp, model, data):
    x, y = data.test
    return {"confidence": model.predict(x, verbose=0).max(axis=1).mean()}


recipe = Recipe(
    train=train,
    evaluate=evaluate,
"""


def test_train_may_fit_often_into_one_history(edited):
    row = row_of(edited(("recipe = Recipe(\n", TWO_PHASES)))
    assert row["phases"] == [["coarse", 2], ["frozen", 3]]
    loss = row["curves"]["val_loss"]
    assert (row["epochs"], row["updates"], len(loss)) == (5, 20, 5)
    assert loss[0] != loss[1]
    assert loss[1:] == [loss[1]] * 4  # A rate of zero changes nothing.
    assert 0.5 < row["values"]["confidence"] < 1


def test_a_users_callback_cannot_see_test_data(edited):
    spy = (
        "class Spy(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        assert logs.keys() == {'loss', 'error', 'val_loss', "
        "'val_error'}, logs\n\n\n"
    )
    file = edited(
        ("def build(", spy + "def build("),
        ("    epochs=4", "    callbacks=[Spy()],\n    epochs=4"),
    )
    assert "test_loss" in row_of(file)["curves"]


def test_early_stopping_hands_over_what_it_restored(edited):
    file = edited(
        (
            "    epochs=4",
            "    callbacks=[keras.callbacks.EarlyStopping("
            "patience=1, restore_best_weights=True)],\n    epochs=60",
        )
    )
    row = row_of(file, learning_rate=0.9)
    best = int(np.argmin(row["curves"]["val_loss"]))
    assert row["epochs"] < 60
    assert row["updates"] == 4 * row["epochs"]
    assert row["final"]["val_loss"] == pytest.approx(
        row["curves"]["val_loss"][best], rel=1e-6
    )
    assert row["final"]["test_loss"] == pytest.approx(
        row["curves"]["test_loss"][best], rel=1e-6
    )


def test_chance_is_the_error_of_the_most_frequent_class(fitted):
    splits = load(fitted).at("cpu").data[""](0).to("vector", "classes")
    labels = splits.train[1]
    most = int(labels.mean() > 0.5)
    assert row_of(fitted)["chance"] == np.mean(splits.test[1] != most)


def failed(file, **settings):
    row = training.run_cell(
        Cell("c", str(file), "deep", 0, "cpu", "", settings)
    )
    assert row["status"] == "failed"
    return row["error"]


def test_a_name_that_nothing_asks_for_fails_the_cell(fitted):
    assert "sets dept, which nothing asks for" in failed(fitted, dept=2)


def test_a_value_out_of_range_fails_the_cell(fitted):
    assert "a whole number from 1 to 3" in failed(fitted, depth=4)


def test_a_build_that_returns_no_compiled_model_says_so(edited):
    file = edited(("    return model\n", "    return keras.Model()\n"))
    assert "must return a compiled `keras.Model`" in failed(file, depth=1)


def test_a_hook_that_returns_no_figures_says_so(edited):
    hook = "def evaluate(hp, model, data):\n    return 3\n\n\n"
    file = edited(
        ("recipe = Recipe(", hook + "recipe = Recipe(\n    evaluate=evaluate,")
    )
    assert "`evaluate` must return a dictionary" in failed(file, depth=1)


def test_a_subclassed_model_is_paired_and_trained(edited):
    subclass = (
        "class Net(keras.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.dense = keras.layers.Dense(2, activation='softmax')\n\n"
        "    def call(self, x):\n"
        "        return self.dense(x)\n\n\n"
    )
    file = edited(
        ("def build(", subclass + "def build("),
        ("    for _ in range(depth):", "    model = Net()\n    for _ in []:"),
        ("    model.add(keras.layers.Dense(data.num_classes,", "    str("),
        ('activation="softmax"))', '"softmax")'),
    )
    one, two = row_of(file, seed=0, rate=0.5), row_of(file, seed=0, rate=0.5)
    assert numbers(one) == numbers(two)
    assert one["curves"]["loss"][-1] < one["curves"]["loss"][0]


def test_the_backend_and_versions_stand_in_the_row(fitted):
    row = row_of(fitted)
    assert row["versions"]["keras"] == keras.__version__
    assert row["backend"] == "tensorflow"
