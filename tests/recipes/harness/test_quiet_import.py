import subprocess
import sys

import pytest

CODE = """
from keras_regimen.recipes.harness.quiet_import import import_keras
import os, sys
import_keras()
os.write(2, b"heard")
print("keras" in sys.modules)
"""


@pytest.mark.slow
def test_keras_is_imported_and_only_then_is_the_error_stream_back():
    result = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True
    )
    assert result.stdout == "True\n"
    assert result.stderr == "heard"
