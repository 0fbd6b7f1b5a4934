"""What the page on optimizers says is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "optimizers.md"


@pytest.mark.slow
def test_its_examples_run():
    names = {"__name__": "example"}
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(compile(example, PAGE.name, "exec"), names)  # noqa: S102


@pytest.mark.slow
@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="the table is TensorFlow's"
)
def test_its_table_is_what_the_command_finds():
    pytest.importorskip("optax")
    pytest.importorskip("torch")
    command = ROOT / "benchmarks" / "optimizer_agreement.py"
    found = subprocess.run(
        [sys.executable, command, "--check", PAGE],
        check=False,
        capture_output=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr[-2000:]
