import os
import subprocess
import sys

import keras
import pytest

from keras_regimen.recipes.harness.engine.backend import (
    check_installed,
    chosen_backend,
    use_here,
)
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.mark.parametrize(
    ("asked", "given", "chosen"),
    [
        ("jax", "torch", "jax"),
        (None, "torch", "torch"),
        (None, "", "tensorflow"),
        (None, None, "tensorflow"),
    ],
)
def test_what_is_asked_for_comes_before_the_environment(
    monkeypatch, asked, given, chosen
):
    monkeypatch.delenv("KERAS_BACKEND")
    if given is not None:
        monkeypatch.setenv("KERAS_BACKEND", given)
    assert chosen_backend(asked) == chosen


def test_an_unknown_backend_is_refused_with_where_it_came_from(monkeypatch):
    with pytest.raises(RefusalError, match="jax, torch.*backend='theano'"):
        chosen_backend("theano")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(RefusalError, match="Received: KERAS_BACKEND=numpy"):
        chosen_backend()


def test_a_backend_that_is_not_installed_is_refused(monkeypatch):
    check_installed(keras.backend.backend())
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(
        RefusalError, match=r"torch is not installed: .*\[torch"
    ):
        check_installed("torch")


def test_keras_cannot_change_its_backend():
    own = keras.backend.backend()
    other = "torch" if own == "jax" else "jax"
    use_here(own)
    use_here(None)
    with pytest.raises(
        RefusalError, match=f"already runs on {own}.*to {other}"
    ):
        use_here(other)
    assert os.environ["KERAS_BACKEND"] == own


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_fresh_process_computes_with_what_was_asked_for(backend):
    pytest.importorskip(backend)
    code = (
        "from keras_regimen.recipes.harness.engine.backend import use_here\n"
        f"use_here({backend!r})\n"
        "import keras; print(keras.backend.backend())\n"
    )
    env = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True
    )
    assert ended.stdout.split() == [backend]
