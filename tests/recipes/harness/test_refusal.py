import pickle

import pytest

from keras_regimen.recipes.cli import main
from keras_regimen.recipes.harness.refusal import RefusalError


def test_a_refusal_is_caught_as_the_value_error_that_it_is():
    with pytest.raises(ValueError, match=r"^no arm named 'fiar'$"):
        raise RefusalError("no arm named 'fiar'")


def test_a_refusal_comes_whole_out_of_a_worker():
    # Plans are made in another process: the error travels as a pickle.
    refusal = pickle.loads(pickle.dumps(RefusalError("no arm")))  # noqa: S301
    assert (type(refusal), str(refusal)) == (RefusalError, "no arm")


def test_the_command_prints_the_sentence_alone(capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(tmp_path / "nowhere.py")])
    printed = capsys.readouterr()
    assert exit_.value.code == 2
    assert printed.out == ""
    assert printed.err == f"regimen: no recipe file '{tmp_path}/nowhere.py'\n"
