import pytest

from keras_regimen.recipes.harness import RefusalError
from keras_regimen.recipes.harness.evidence.evidence import Evidence
from keras_regimen.recipes.harness.report import search_dossier
from keras_regimen.recipes.harness.report.search_dossier import (
    model_searches,
    read_search,
)
from keras_regimen.recipes.harness.report.search_range import Range
from keras_regimen.recipes.harness.tuning import model_recipe


def test_the_arm_is_that_of_the_search_of_a_model():
    assert search_dossier._ARM == model_recipe.ARM


def test_trials_runs_and_reruns_are_those_of_the_search(hunt, about):
    found = read_search(hunt(about=about()))
    assert (found.name, found.page) == ("hunter", "hunter.search")
    assert [t.number for t in found.search.trials] == ["00", "01", "02"]
    best = found.search.best
    assert best.settings == {"rate": 0.1, "shape": "deep", "depth": 4}
    assert (best.score, best.rerun, best.reruns) == (
        pytest.approx(0.3),
        0.5,
        1,
    )
    assert len(found.cells) == 7
    assert found.search.ranges == {
        "rate": Range(0.01, 1.0, log=True),
        "depth": Range(2, 8),
    }
    assert found.target == "my models.py:Hunter"
    assert found.told.noun == "validation loss"


def test_the_figure_and_its_direction_are_the_journals(hunt, about):
    path = hunt(
        about=about(objective="best val_accuracy", direction="max"),
        trials=[({"rate": 0.5}, [0.8], []), ({"rate": 0.1}, [0.9], [])],
    )
    found = read_search(path)
    assert found.told.noun == "validation accuracy"
    # The planted curve is highest at its first epoch.
    assert [t.score for t in found.search.trials] == [0.8, 0.9]
    assert found.search.best.settings == {"rate": 0.1}


def test_a_journal_that_says_nothing_is_read_by_what_was_given(hunt):
    found = read_search(hunt(), "mine.py:Hunter")
    assert (found.target, found.space, found.search.ranges) == (
        "mine.py:Hunter",
        (),
        {},
    )
    assert found.search.best.score == pytest.approx(0.3)
    high = read_search(hunt(), objective="best val_accuracy", direction="max")
    assert high.search.best.score == pytest.approx(0.7)


def test_what_the_models_own_fit_returned_is_the_score(hunt):
    own = [({"rate": 0.5}, [9.0], [], {"values": {"objective": 0.25}})]
    found = read_search(hunt(own))
    assert found.search.best.score == 0.25
    assert (found.told.noun, found.told.when) == (
        "score",
        "as the model's own `fit` returns it",
    )


def test_the_newest_search_is_read_unless_one_is_asked_for(hunt):
    hunt(search="old", fixed={"width": 8})
    path = hunt([({"rate": 0.7}, [0.9], [])], search="new", fixed={"width": 4})
    found = read_search(path)
    assert (found.others, len(found.cells), found.fixed) == (1, 1, {"width": 4})
    older = read_search(path, journal="old")
    assert (older.others, len(older.cells), older.fixed) == (1, 7, {"width": 8})


@pytest.mark.parametrize(
    "other",
    [{"code": "other"}, {"data": "wine"}, {"scale": "smoke"}],
    ids=str,
)
def test_fresh_seeds_of_another_search_are_not_its_own(hunt, other):
    hunt(search="other", **other)
    best = {"rate": 0.1, "shape": "deep", "depth": 4}
    path = hunt([(best, [0.2, 0.4], [])])
    assert read_search(path).search.best.reruns == 0


def test_a_search_without_a_finished_run_is_refused(hunt, tmp_path):
    path = tmp_path / "hunter.search.jsonl"
    with pytest.raises(RefusalError, match="no run of a search has finished"):
        read_search(path)
    hunt([({"rate": 0.1}, [], [])])
    with pytest.raises(RefusalError, match="no run of a search has finished"):
        read_search(path)


def test_a_folders_searches_of_models_are_found(hunt, tmp_path):
    path = hunt()
    (row, *_), _ = Evidence(path).read("trial")
    arms = tmp_path / "mine.search.jsonl"
    Evidence(arms).append({**row, "recipe": "mine", "arm": "deep"})
    shipped = tmp_path / "dropout.search.jsonl"
    Evidence(shipped).append({**row, "recipe": "dropout"})
    assert model_searches(tmp_path) == [path]
    assert model_searches(tmp_path / "nowhere") == []
