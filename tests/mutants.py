"""Mutation check: plants one-line faults in layers; their tests must fail.

    python tests/mutants.py                       # all components, long
    python tests/mutants.py StochasticDepth       # one, a minute or two

`mutants.toml` holds the faults. Each is planted in a copy of the repository,
where the component's test file runs until a test fails, and after it the
contract test of all layers. A survivor is a fault that no test sees: the
command prints it and exits with 1. A fault that changes nothing anybody could
see says in a fourth entry why; it is expected to survive.
"""

import argparse
import contextlib
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # Once, and not for each fault.
import pytest

# A fault of the same length in the same second would not be compiled anew.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
ROOT = Path(__file__).resolve().parents[1]
CONTRACT = "tests/custom_layers/test_layer_contract.py"
LIMIT = 300  # Seconds, for a fault that makes an endless loop.


def copy_of_the_tree(folder):
    """Returns a copy in a folder, with a path to import it by beside it."""
    copy, path = folder / "copy", folder / "path"
    ignored = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    path.mkdir()  # With nothing else that could be imported.
    (path / "keras_regimen").symlink_to(copy)
    return copy


def failing_test(copy, arguments):
    """Runs tests on the copy; returns the first that fails, or `None`."""
    output = copy.parent / "output"
    # The child starts with Keras loaded, and has run nothing yet.
    child = os.fork()
    if not child:
        os._exit(run_tests(copy, arguments, output))
    for _ in range(LIMIT * 10):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return f"no end after {LIMIT} s"
    shown = output.read_text(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return None
    failed = re.search(r"^(?:FAILED|ERROR) \S+?::(\S+)", shown, re.MULTILINE)
    return failed[1] if failed else f"exit code {code}: {shown[-300:]}"


def run_tests(copy, arguments, output):
    try:
        with output.open("w") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.chdir(copy)
        # Before the finder of an editable install; for further processes too.
        path = str(copy.parent / "path")
        sys.path.insert(0, path)
        os.environ["PYTHONPATH"] = path
        package = importlib.import_module("keras_regimen")
        if not Path(package.__file__).resolve().is_relative_to(copy.resolve()):
            raise ImportError(f"not the copy: {package.__file__}")
        return pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments])
    except BaseException as error:  # A child must never go on as its parent.
        print(repr(error), flush=True)
        return 99


def runs_of(component, file, tests):
    """Returns the arguments of the test runs that may catch a fault."""
    file = Path(file)
    own = [f"tests/{file.parent}/test_{file.name}", *tests]
    # The contract knows a cell by the layer that runs it.
    named = ["-k", component.removesuffix("Cell"), "-m", "not slow"]
    together = [[CONTRACT, "-k", word] for word in ("graph_fit", "replicas")]
    return [own, [CONTRACT, *named], *together]


def check(component, file, faults, copy, tests=()):
    """Plants the faults of one component; returns surprises and total."""
    target, source = copy / file, (ROOT / file).read_text()
    passed, surprises = [], 0
    for name, old, new, *why in faults:
        if source.count(old) != 1:
            sys.exit(f"{component}, {name}: {source.count(old)} times {old!r}")
        for arguments in runs_of(component, file, tests):
            if arguments not in passed:
                if failed := failing_test(copy, arguments):
                    sys.exit(f"{component} fails without a fault: {failed}")
                passed.append(arguments)
            target.write_text(source.replace(old, new))
            failed = failing_test(copy, arguments)
            target.write_text(source)
            if failed:
                break
        surprises += bool(why) == bool(failed)
        result = "KILLED  " if failed else "SURVIVED"
        print(result, f"{component}: {name} |", failed or "".join(why))
        sys.stdout.flush()
    return surprises, len(faults)


def main():
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("components", nargs="*", metavar="COMPONENT")
    chosen = parser.parse_args().components or list(table)
    if unknown := sorted(set(chosen) - set(table)):
        parser.error(f"unknown: {unknown}. There are: {', '.join(table)}")
    print(f"Keras {keras.__version__} on {keras.config.backend()}", flush=True)
    for oracle in ("scipy.stats", "torch"):  # As Keras: once.
        with contextlib.suppress(ImportError):
            importlib.import_module(oracle)
    surprises = total = 0
    for component in chosen:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            copy = copy_of_the_tree(Path(folder))
            counts = check(component, **table[component], copy=copy)
        surprises, total = surprises + counts[0], total + counts[1]
        print(f"{component}: {counts[0]} of {counts[1]} not as expected")
    print(f"{surprises} of {total} not as expected")
    sys.exit(surprises > 0)


if __name__ == "__main__":
    main()
