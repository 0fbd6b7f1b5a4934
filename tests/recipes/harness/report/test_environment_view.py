from keras_regimen.recipes.harness.report.dossier import read_dossier
from keras_regimen.recipes.harness.report.environment_view import (
    environment_view,
)


def test_everything_that_numbers_depend_on_is_told(dice):
    dice.judged()
    found = dict(environment_view(read_dossier(dice.file)))
    assert found == {
        "keras": "3.15.1",
        "python": "3.11.7",
        "backend": "tensorflow",
        "device": "cpu",
        "threads a run": "1",
        "protocol": "1",
        "code": dice.code,
        "scale": "cpu",
        "runs": "2026-01-01T00:00:00+00:00 to 2026-01-03T00:00:00+00:00",
        "data noisy": "digits(): 1,000 train, 200 validation, 597 test rows",
        "fingerprints noisy": "000000000000, 111111111111, 222222222222",
    }


def test_a_mixture_is_told_as_one(dice, cell, verdict):
    dice.append(
        cell("fair", 0, dice.code, device="cpu"),
        cell("fair", 1, dice.code, device="a GPU", versions={"keras": "3.16"}),
        verdict(dice.code),
    )
    found = dict(environment_view(read_dossier(dice.file)))
    assert found["device"] == "a GPU, cpu"
    assert found["keras"] == "3.15.1, 3.16"


def test_failed_cells_alone_tell_what_they_have(dice, cell):
    row = cell("fair", 0, dice.code, status="failed")
    for name in ("items", "fingerprint", "source", "time", "versions"):
        del row[name]
    dice.append(row)
    found = dict(environment_view(read_dossier(dice.file)))
    assert found["code"] == dice.code
    assert "data noisy" not in found


def test_without_cells_there_is_nothing_to_tell(dice):
    assert environment_view(read_dossier(dice.file)) == []
