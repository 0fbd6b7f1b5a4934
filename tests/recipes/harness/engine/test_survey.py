import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

import keras_regimen
from keras_regimen.recipes.harness.engine import survey as module
from keras_regimen.recipes.harness.engine.cell import PROTOCOL
from keras_regimen.recipes.harness.engine.survey import survey


def test_versions_are_those_that_compute():
    found = survey(["keras", "numpy", "scikit-learn", "no-such-thing"])
    assert found == {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "keras_regimen": keras_regimen.__version__,
        "protocol": str(PROTOCOL),
        "keras": keras.__version__,
        "numpy": np.__version__,
        "scikit-learn": importlib.metadata.version("scikit-learn"),
        "no-such-thing": None,
    }


def test_what_is_loaded_counts_and_not_what_was_installed_since(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.99.0+local")
    assert survey(["keras"])["keras"] == "3.99.0"


def test_its_source_runs_in_a_python_without_any_of_our_packages(tmp_path):
    source = inspect.getsource(module)
    code = f"{source}\nprint(survey(['keras']), 'numpy' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert "'keras_regimen': None, 'protocol': None, 'keras': None" in (
        ended.stdout
    )
    assert ended.stdout.rstrip().endswith("False")


def test_it_imports_nothing_but_the_standard_library():
    lines = Path(module.__file__).read_text().splitlines()
    imported = [line for line in lines if line.startswith(("import", "from"))]
    assert imported == ["import importlib.metadata", "import sys"]
