import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys

import keras
import pytest

from keras_regimen.recipes.harness import installation as module
from keras_regimen.recipes.harness.engine.probe import Probe
from keras_regimen.recipes.harness.installation import installation


@pytest.fixture
def probed(monkeypatch):
    """Returns a function that says what the other process would find."""

    def answer(failed=None, **said):
        usual = {
            "backend": keras.backend.backend(),
            "devices": [],
        }
        found = Probe(failed or {}, usual | said)
        monkeypatch.setattr(module, "probe", lambda *_: found)

    answer()
    return answer


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Returns a function that puts a distribution before the others."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, version):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        importlib.invalidate_caches()

    return write


def found(check):
    return [f for f in installation() if f.check == check]


def test_this_environment_has_what_is_needed(probed):
    problems = [f for f in installation() if f.state == "problem"]
    assert problems == []
    (versions,) = found("versions")
    assert f"keras {keras.__version__}" in versions.what


def test_an_older_keras_than_needed_is_a_problem(probed, distribution):
    distribution("keras", "3.14.0")
    (versions,) = found("versions")
    assert versions.state == "problem"
    assert versions.what == "do not fit: keras 3.14.0 (>=3.15 needed)"
    (tested,) = found("tested versions")
    assert tested.state == "warning"
    assert f"keras 3.14.0 ({keras.__version__})" in tested.what


def test_a_missing_library_is_a_problem(probed, monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "importlib_resources":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (versions,) = found("versions")
    assert versions.what == "not installed: importlib_resources"
    assert versions.remedy == "pip install 'keras-regimen[recipes]'"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            "ModuleNotFoundError: No module named 'importlib_resources'",
            "pip install importlib_resources",
        ),
        ("ModuleNotFoundError: No module named 'sklearn.x'", "scikit-learn"),
        ("it crashed with signal 11", "--force-reinstall keras-tuner"),
    ],
)
def test_a_broken_library_is_a_problem_with_what_to_do(probed, error, remedy):
    probed(failed={"keras_tuner": error})
    (broken,) = found("keras-tuner")
    assert broken.state == "problem"
    assert broken.what == f"does not work: {error}"
    assert broken.remedy.endswith(remedy)


def test_a_gpu_that_the_backend_does_not_see_is_a_warning(probed, monkeypatch):
    monkeypatch.setattr(module, "_has_nvidia_gpu", lambda: True)
    (devices,) = found("devices")
    assert devices.state == "warning"
    assert "an NVIDIA GPU, which" in devices.what
    probed(devices=["H100", "H100"])
    (devices,) = found("devices")
    assert devices.state == "ok"
    assert devices.what.endswith("GPU: H100, H100")


def test_an_unknown_backend_is_a_problem(probed, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    (backend,) = found("backend")
    assert backend.state == "problem"
    assert "Received: KERAS_BACKEND=theano" in backend.what


def test_legacy_keras_is_a_warning(probed, monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    (environment,) = found("environment")
    assert environment.state == "warning"
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    assert found("environment") == []


def test_an_install_without_the_tested_versions_says_nothing(tmp_path):
    assert list(module._tested(tmp_path / "constraints.txt")) == []


@pytest.mark.slow
def test_a_broken_tensorflow_is_diagnosed_and_not_a_crash(tmp_path):
    """The command itself, where TensorFlow raises and Keras kills."""
    for name, text in (
        ("tensorflow", "raise ImportError('libcudart is missing')"),
        ("keras", "import os; os.kill(os.getpid(), 6)"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    ended = subprocess.run(
        [
            shutil.which("regimen", path=os.path.dirname(sys.executable)),
            "doctor",
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "KERAS_BACKEND": "tensorflow",
        },
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    unwrapped = " ".join(ended.stdout.split())
    assert "does not work: ImportError: libcudart is missing" in unwrapped
    assert "does not work: it crashed with signal 6" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "2 problems"
    assert ended.stderr == ""
