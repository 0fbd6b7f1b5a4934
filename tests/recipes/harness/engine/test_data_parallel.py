import pytest


@pytest.fixture(scope="module")
def ran(on_devices):
    """One arm with dropout on two devices, then on one; 61 rows, 33 to test."""
    return on_devices(
        """
        dropout = {"rate": 0.3}
        found = {
            "two": run(Computation("data_parallel"), settings=dropout),
            "one": run(Computation(), settings=dropout),
        }
        try:
            run(Computation("data_parallel", devices=3))
        except RefusalError as refusal:
            found["three"] = str(refusal)
        """,
        backend="jax",
    )


@pytest.mark.slow
def test_two_devices_give_what_one_gives(ran):
    """Masks too, and batches of 13 and 33 that do not divide."""
    one, two = (ran[name]["rows"][0] for name in ("one", "two"))
    assert one["status"] == two["status"] == "done", two.get("traceback")
    assert two["final"] == pytest.approx(one["final"], abs=1e-5)
    for name, curve in one["curves"].items():
        assert two["curves"][name] == pytest.approx(curve, abs=1e-5)


@pytest.mark.slow
def test_row_and_notes_say_what_was_done(ran):
    two = ran["two"]["rows"][0]
    assert two["computation"] == {"strategy": "data_parallel", "devices": 2}
    assert two["plain_fit"] == "a `keras.distribution` is set"
    assert two["undivided_batches"] == 2  # One in each of two epochs.
    assert ran["two"]["notes"] == [
        "data_parallel: the last batch of a pass, 13 rows, does not divide by "
        "2 devices, and each computes it whole",
    ]
    assert ran["one"]["rows"][0]["id"] != two["id"]


@pytest.mark.slow
def test_more_devices_than_the_process_has_are_refused(ran):
    assert ran["three"].startswith(
        "JAX has 2 devices in this process, and the strategy needs 3"
    )
