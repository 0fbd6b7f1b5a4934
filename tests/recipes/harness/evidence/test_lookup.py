import pytest

from keras_regimen.recipes.harness.evidence.discovery import find
from keras_regimen.recipes.harness.evidence.evidence import (
    Evidence,
    evidence_of,
)
from keras_regimen.recipes.harness.evidence.lookup import find_row
from keras_regimen.recipes.harness.refusal import RefusalError


def write(folder, recipe, *ids, suffix="", **more):
    evidence = Evidence(folder / f"{recipe}{suffix}.jsonl")
    for id_ in ids:
        row = {"kind": "cell", "id": id_, "recipe": recipe, "arm": "a"}
        row |= {"seed": 0, "scale": "cpu", "data": "", "code": ""}
        evidence.append(row | {"status": "done"} | more)


def test_a_shipped_row_is_found_by_its_id_and_by_its_beginning():
    row = evidence_of(find("dropout")).read(kind="cell")[0][0]
    for name in (row["id"], row["id"][:12], f"dropout:{row['id'][:8]}"):
        assert find_row(name) == (find("dropout"), row)


def test_rows_of_a_search_are_found_too(tmp_path):
    write(tmp_path, "dropout", "abc1", suffix=".search")
    file, row = find_row("abc", out=tmp_path)
    assert (file, row["id"]) == (find("dropout"), "abc1")


def test_a_users_own_recipe_is_named_by_its_file(measured):
    write(measured.parent, "dice", "abc1")
    file, row = find_row(f"{measured}:abc1")
    assert (file, row["recipe"]) == (measured, "dice")
    with pytest.raises(RefusalError, match=r"no row 'abc1'.*FILE\.py:ID"):
        find_row("abc1")


def test_the_row_of_a_second_try_is_what_counts(tmp_path):
    write(tmp_path, "dropout", "abc1", note="first")
    write(tmp_path, "dropout", "abc1", note="second")
    assert find_row("abc1", out=tmp_path)[1]["note"] == "second"


def test_a_whole_id_is_not_the_beginning_of_another(tmp_path):
    write(tmp_path, "dropout", "abc1", "abc12")
    assert find_row("abc1", out=tmp_path)[1]["id"] == "abc1"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "abc",
            "'abc' is the beginning of 4 rows: .*dropout:abc1.* and 1 more",
        ),
        ("dropout:zz", "no row 'zz' of dropout in "),
        ("", "no row ''"),
        ("dropuot:abc1", "no recipe named 'dropuot'; did you mean dropout"),
    ],
)
def test_no_row_and_several_are_refused(tmp_path, name, sentence):
    write(tmp_path, "dropout", "abc1", "abc2", "abc3")
    write(tmp_path, "batch_norm", "abc4")
    with pytest.raises(RefusalError, match=sentence):
        find_row(name, out=tmp_path)
