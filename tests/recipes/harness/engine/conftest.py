"""A worker in this process; and a process of several devices.

Devices must be set before a backend starts.
"""

import json
import os
import runpy
import subprocess
import sys
import textwrap

import distributed
import pytest

from keras_regimen.recipes.harness.evidence import discovery

START = """
import json
from pathlib import Path
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.engine import Engine
from keras_regimen.recipes.harness.refusal import RefusalError

def run(computation, **options):
    with Engine(workers=0, computation=computation) as engine:
        plan = engine.plan(
            Path({file!r}), scale="smoke", seeds=1, arms=("deep",), **options
        )
        return {{"rows": list(engine.run(plan.cells)), "notes": plan.notes}}
"""


@pytest.fixture(scope="module")
def client():
    """A Dask client of one worker in this process."""
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def on_devices(tmp_path_factory):
    """Returns a function that runs code, and returns what it has `found`.

    The code may `run` the tiny recipe, whose batches do not all divide by
    two, with a `Computation`.
    """
    conftest = discovery.PACKAGE / "tests" / "recipes" / "conftest.py"
    names = runpy.run_path(str(conftest))
    file = tmp_path_factory.mktemp("recipe") / "clouds.py"
    text = textwrap.dedent(names["FITTED"]).lstrip()
    for old, new in (
        ("draw(60), draw(30), draw(50)", "draw(61), draw(30), draw(33)"),
        ("epochs=4", "epochs=2"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)

    def run(code, backend):
        pytest.importorskip(backend)
        script = (
            START.format(file=str(file))
            + textwrap.dedent(code)
            + "\nprint(json.dumps(found))"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return json.loads(ended.stdout.splitlines()[-1])

    return run
