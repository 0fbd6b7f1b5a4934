import pickle
from dataclasses import dataclass

import pytest

from keras_regimen.recipes.harness.datasets.own_data import OwnData
from keras_regimen.recipes.harness.refusal import RefusalError

DRAWN = []


@dataclass(frozen=True)
class Kept(OwnData):
    def current_digest(self):
        with open(self.path) as file:
            return file.read()

    def draw(self, seed):
        DRAWN.append(seed)
        return [seed]


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "rows"
    path.write_text("0123456789abcdef")
    return Kept(str(path), "rows", "0123456789abcdef", "16 rows")


def test_its_name_holds_what_it_held_and_not_where():
    assert Kept("/a/rows", "rows", "0123456789ab").name == "rows@01234567"


def test_the_rows_of_a_seed_are_drawn_once_for_all_arms(kept):
    DRAWN.clear()
    assert kept(3) is kept(3)
    assert kept(4) == [4]
    assert DRAWN == [3, 4]


def test_what_changed_since_the_plan_is_not_served(kept, tmp_path):
    kept(0)
    (tmp_path / "rows").write_text("changed")
    with pytest.raises(RefusalError, match="rows has changed since the run"):
        kept(0)


def test_what_is_gone_is_a_sentence(kept, tmp_path):
    (tmp_path / "rows").unlink()
    with pytest.raises(RefusalError, match="cannot be read: No such file"):
        kept(0)


def test_it_goes_to_a_worker():
    source = OwnData("/a/rows", "rows", "0123456789ab", "16 rows", True)
    again = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert (again, again.sentence) == (source, "16 rows")
