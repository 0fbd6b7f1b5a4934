import pytest

from keras_regimen.recipes.harness import RefusalError
from keras_regimen.recipes.harness.evidence.discovery import find, shipped
from keras_regimen.recipes.harness.report.named import named


def test_searches_go_by_their_rows_and_by_what_was_searched(hunt, tmp_path):
    hunt()
    names = ["dropout", "hunter", "mine.py:Hunter", "my.models:Hunter"]
    recipes, searches = named(names, tmp_path)
    assert recipes == [find("dropout")]
    assert [s.target for s in searches] == [
        None,
        "mine.py:Hunter",
        "my.models:Hunter",
    ]
    assert {s.name for s in searches} == {"hunter"}


def test_without_names_there_is_all_that_there_is(hunt, tmp_path):
    hunt()
    recipes, searches = named((), tmp_path)
    assert recipes == list(shipped().values())
    assert [s.name for s in searches] == ["hunter"]


def test_without_a_folder_it_is_where_searches_keep_their_rows(
    hunt, tmp_path, monkeypatch
):
    path = hunt()
    path.rename(tmp_path / "away")
    (tmp_path / "regimen-evidence").mkdir()
    (tmp_path / "away").rename(tmp_path / "regimen-evidence" / path.name)
    monkeypatch.chdir(tmp_path)
    assert [s.name for s in named(["hunter"])[1]] == ["hunter"]


def test_a_recipes_name_is_the_recipes(hunt, tmp_path):
    hunt().rename(tmp_path / "dropout.search.jsonl")
    assert named(["dropout"], tmp_path) == ([find("dropout")], [])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine.py:Gatherer", r"'mine\.py:Gatherer'.*no '.*gatherer\.search"),
        ("huntr", "no recipe named 'huntr'.* searches of models.*: hunter"),
        ("mine.py", r"no recipe file 'mine\.py'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    hunt, tmp_path, name, sentence
):
    hunt()
    with pytest.raises(RefusalError, match=sentence):
        named([name], tmp_path)
