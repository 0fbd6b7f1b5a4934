"""Measurements in processes of their own.

Where a process' arrays lie in memory moves a ratio by a tenth, whatever the
number of turns. So a script measures in several, one after another.
"""

import json
import os
import subprocess
import sys


def measured_apart(script, *arguments, **environment):
    """Returns what a script, run with these arguments, prints last, as JSON."""
    child = subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(child.stdout.splitlines()[-1])


def measured_often(processes, script, *arguments):
    """Returns what each of some processes found."""
    found = []
    for number in range(1, processes + 1):
        print(f"process {number} of {processes}", file=sys.stderr, flush=True)
        found.append(measured_apart(script, *arguments))
    return found
