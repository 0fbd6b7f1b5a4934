import os
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


@pytest.mark.slow
def test_a_users_keras_configuration_changes_no_row(tmp_path):
    configuration = tmp_path / "keras.json"
    configuration.write_text(
        '{"floatx": "float16", "epsilon": 0.1, '
        '"image_data_format": "channels_first"}'
    )
    code = (
        "from keras_regimen.recipes.harness.quiet_import import import_keras\n"
        "import_keras()\n"
        "from keras import config\n"
        "print(config.floatx(), config.epsilon(), config.image_data_format())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_HOME": str(tmp_path)},
    )
    assert result.stdout == "float32 1e-07 channels_last\n"
