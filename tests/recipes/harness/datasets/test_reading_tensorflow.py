import os
import subprocess
import sys

import pytest

from keras_regimen.recipes.harness.datasets.reading_tensorflow import (
    reading_tensorflow,
)


def test_it_is_tensorflow():
    assert reading_tensorflow().io.decode_image is not None


@pytest.mark.slow
def test_another_backend_keeps_the_gpus_for_itself():
    pytest.importorskip("jax")
    code = (
        "from keras_regimen.recipes.harness.datasets.reading_tensorflow "
        "import reading_tensorflow\n"
        "tf = reading_tensorflow()\n"
        "print(tf.config.get_visible_devices('GPU'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == "[]", result.stderr
