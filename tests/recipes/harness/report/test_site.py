import subprocess
import sys
import time

import pytest

from keras_regimen.recipes.harness import RefusalError
from keras_regimen.recipes.harness.evidence.discovery import shipped
from keras_regimen.recipes.harness.report.search_dossier import read_search
from keras_regimen.recipes.harness.report.site import write_site


def test_a_page_a_recipe_and_an_index_first(dice, tmp_path):
    dice.judged()
    found = write_site([dice.file], tmp_path / "a" / "b")
    assert [path.name for path in found] == ["index.html", "dice.html"]
    assert all(path.read_text().startswith("<!doctype") for path in found)


def test_a_search_has_a_page_that_no_recipe_has(dice, hunt, tmp_path):
    dice.judged()
    search = read_search(hunt())
    found = write_site([dice.file], tmp_path / "both", searches=[search])
    assert [path.name for path in found] == [
        "index.html",
        "dice.html",
        "hunter.search.html",
    ]
    with pytest.raises(RefusalError, match=r"'hunter\.search\.html'"):
        write_site([], tmp_path, searches=[search, search])


def test_the_repositorys_own_report_is_quick_and_light(tmp_path):
    started = time.process_time()
    found = write_site(shipped().values(), tmp_path)
    assert time.process_time() - started < 10
    assert len(found) == 1 + len(shipped())
    assert max(path.stat().st_size for path in found) < 1.5e6


def test_a_folder_that_cannot_be_written_is_refused(dice, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RefusalError, match="cannot write to .*file"):
        write_site([dice.file], tmp_path / "file")


def test_two_recipes_of_one_name_are_refused(dice, tmp_path):
    with pytest.raises(RefusalError, match=r"'dice\.html'"):
        write_site([dice.file, dice.file], tmp_path)


@pytest.mark.slow
def test_the_report_loads_neither_keras_nor_scipy_stats(tmp_path):
    code = (
        "import sys\n"
        "from keras_regimen.recipes.cli import main\n"
        f"try:\n    main(['report', '--to', {str(tmp_path)!r}])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'keras', 'tensorflow', 'scipy', 'numpy', 'distributed'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    told, heavy = result.stdout.splitlines()
    index = tmp_path / "index.html"
    assert told == f"{len(shipped())} pages and an index: {index}"
    assert heavy == "[]"
