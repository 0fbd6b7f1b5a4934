import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.streamed_splits import StreamedRows
from keras_regimen.recipes.harness.datasets.data_source import own_data
from keras_regimen.recipes.harness.engine import training
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.streamed_fit import (
    REASON,
    streamed_fit,
    whole_on_each,
)


def rows_of(count):
    x = np.arange(count, dtype="float32")[:, None]
    return StreamedRows(x, x, np.arange(count))


class Seen(keras.Model):
    """Notes the rows of each update."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.updates = []

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x = data[0] if isinstance(data, tuple) else data
        self.updates.append(sorted(np.array(x)[:, 0].astype(int).tolist()))
        return {"loss": keras.ops.sum(x)}


def seen(count, **options):
    model = Seen()
    model.compile("sgd", "mse", run_eagerly=True)
    order = np.random.default_rng(7)
    history = streamed_fit(
        model, rows_of(count), shuffle=order, verbose=0, **options
    )
    assert history.params["plain_fit"] == REASON
    return model.updates


def test_an_epoch_is_one_pass_in_the_order_that_was_drawn():
    updates = seen(10, batch_size=4, epochs=2)
    order = np.random.default_rng(7)
    for epoch in (0, 1):
        drawn = order.permutation(10)
        cut = [sorted(drawn[i : i + 4].tolist()) for i in (0, 4, 8)]
        assert updates[3 * epoch : 3 * epoch + 3] == cut


def test_what_devices_cannot_share_each_of_them_gets_whole():
    """Four, four, and two rows: on four devices the two are there twice."""
    shared = seen(10, batch_size=4, epochs=1, devices=4)
    alone = seen(10, batch_size=4, epochs=1)
    assert shared[:2] == alone[:2]
    assert shared[2] == sorted(alone[2] * 2)


@pytest.mark.parametrize(
    ("rows", "devices", "times"),
    [(6, 2, 1), (5, 2, 2), (1, 3, 3), (6, 4, 2), (9, 6, 2), (8, 1, 1)],
)
def test_rows_are_repeated_no_more_than_it_takes(rows, devices, times):
    places = np.arange(rows)
    found = whole_on_each(places, devices)
    assert found.tolist() == places.tolist() * times
    assert len(found) % devices == 0


def test_an_epoch_of_some_updates_goes_on_with_the_pass():
    # 3 batches a pass: two epochs of two updates are a pass and a third.
    updates = seen(9, batch_size=3, epochs=2, steps_per_epoch=2)
    order = np.random.default_rng(7)
    drawn = np.concatenate([order.permutation(9), order.permutation(9)])
    cut = [sorted(drawn[i : i + 3].tolist()) for i in (0, 3, 6, 9)]
    assert updates == cut


@pytest.mark.parametrize("steps", [None, 3])
def test_a_streamed_cell_is_the_one_in_memory(
    fitted, tmp_path, monkeypatch, steps
):
    """Whole cells: curves on all three parts, the end, chance, counts."""
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    y = np.arange(70) % 3
    x = rng.normal(size=(70, 6)) + y[:, None]
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    text = fitted.read_text()
    fitted.write_text(
        text.replace("batch_size=16", f"batch_size=16, steps_per_epoch={steps}")
    )

    def row(megabytes):
        monkeypatch.setenv("REGIMEN_MEMORY_MB", megabytes)
        source = own_data((), "rows.npz", tmp_path)
        assert source.streamed == (megabytes == "0.001")
        row = training.run_cell(
            Cell(
                recipe="clouds",
                file=str(fitted),
                arm="deep",
                seed=5,
                scale="cpu",
                data=source.name,
                settings={"depth": 2, "rate": 0.3},
                source=source,
            )
        )
        assert row["status"] == "done", row["traceback"]
        return row

    held, streamed = row("100"), row("0.001")
    assert held["id"] == streamed["id"]
    assert (held["plain_fit"], streamed["plain_fit"]) == (None, REASON)
    for name in ("items", "chance", "updates", "budget", "epochs", "source"):
        assert held[name] == streamed[name]
    # The same weights, masks and order of rows; sums are added otherwise.
    assert held["curves"].keys() == streamed["curves"].keys()
    assert {"loss", "val_error", "test_loss"} <= held["curves"].keys()
    for name, curve in held["curves"].items():
        np.testing.assert_allclose(
            streamed["curves"][name], curve, rtol=2e-5, err_msg=name
        )
    assert streamed["final"] == pytest.approx(held["final"], rel=2e-5)
    # And again, to the bit.
    again = row("0.001")
    assert again["curves"] == streamed["curves"]
    assert again["fingerprint"] == streamed["fingerprint"]


def test_a_hook_that_wants_whole_arrays_says_so(fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "0.0001")
    y = np.arange(40) % 2
    np.savez(tmp_path / "rows.npz", x=np.eye(40)[:, :9], y=y)
    hook = "def evaluate(hp, model, data):\n    x, y = data.test\n\n\n"
    text = fitted.read_text().replace(
        "recipe = Recipe(", hook + "recipe = Recipe(\n    evaluate=evaluate,"
    )
    fitted.write_text(text)
    source = own_data((), "rows.npz", tmp_path)
    row = training.run_cell(
        Cell("clouds", str(fitted), "flat", 0, "cpu", "d", source=source)
    )
    assert "The recipe asks for whole arrays" in row["error"]
