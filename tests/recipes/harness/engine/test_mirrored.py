import pytest

from keras_regimen.recipes.harness.engine.cell import Cell


@pytest.fixture(scope="module")
def ran(on_devices):
    """One arm on two devices, then on one; 61 rows in batches of 16."""
    return on_devices(
        """
        found = {
            "two": run(Computation("mirrored")),
            "one": run(Computation()),
        }
        try:
            run(Computation("mirrored", devices=3))
        except RefusalError as refusal:
            found["three"] = str(refusal)
        """,
        backend="tensorflow",
    )


@pytest.mark.slow
def test_two_devices_give_what_one_gives(ran):
    """Batches of 16, 16 and 16 divide; that of 13 does not."""
    one, two = (ran[name]["rows"][0] for name in ("one", "two"))
    assert one["status"] == two["status"] == "done", two.get("traceback")
    assert two["final"] == pytest.approx(one["final"], abs=1e-5)
    for name in ("val_loss", "val_error", "test_loss", "test_error"):
        curves = (row["curves"][name] for row in (two, one))
        assert next(curves) == pytest.approx(next(curves), abs=1e-5)
    # The last batch is there twice, in the curves of training alone.
    assert two["curves"]["loss"] == pytest.approx(one["curves"]["loss"], 0.1)
    assert two["updates"] == one["updates"] == 8


@pytest.mark.slow
def test_row_and_notes_say_what_was_done(ran):
    one, two = (ran[name]["rows"][0] for name in ("one", "two"))
    assert two["computation"] == {"strategy": "mirrored", "devices": 2}
    assert two["plain_fit"] == "the model trains under mirrored"
    assert two["undivided_batches"] == 2  # One in each of two epochs.
    assert ran["two"]["notes"] == [
        "mirrored: the last batch of a pass, 13 rows, does not divide by 2 "
        "devices, and each computes it whole; it counts 2 times in the curves "
        "of training",
    ]
    assert "computation" not in one
    assert "undivided_batches" not in one
    assert one["id"] != two["id"]


@pytest.mark.slow
def test_a_cell_on_one_device_is_what_it_was(ran):
    one = ran["one"]["rows"][0]
    cell = Cell(
        recipe=one["recipe"],
        file="anywhere.py",
        arm=one["arm"],
        seed=one["seed"],
        scale=one["scale"],
        data=one["data"],
        settings=one["settings"],
        code=one["code"],
    )
    assert one["id"] == cell.id


@pytest.mark.slow
def test_another_number_of_devices_needs_another_process(ran):
    assert ran["three"] == (
        "this process has a strategy of 2 devices, and a second one would "
        "break it: start another process for 3"
    )
