import http.server
import json
import operator
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import distributed
import pytest
from typer.testing import CliRunner

from keras_regimen.recipes.cli import app
from keras_regimen.recipes.harness.engine.cluster import (
    Terms,
    connected,
    script_name,
)
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.engine import Engine
from keras_regimen.recipes.harness.engine.news import Listener
from keras_regimen.recipes.harness.evidence.discovery import PACKAGE, find
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning import search_named
from keras_regimen.recipes.harness.tuning.goal import goal_of
from keras_regimen.recipes.harness.tuning.reporter import Silent

TERMS = Terms("tensorflow", {"python": "3.11", "keras": "3.15", "jax": None})
FIGURES = ("id", "status", "curves", "final", "values", "fingerprint")


class Cluster:
    """A scheduler and workers on loopback, started as a user starts them."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        host = ["--host", "127.0.0.1"]
        self.scheduler = self._start("scheduler", *host, "--port", port)
        self.client = distributed.Client(
            self.address, timeout=30, set_as_default=False
        )

    def worker(self, *options, path=None):
        """Starts a worker of one thread; returns its process and address."""
        before = set(self.client.nthreads())
        process = self._start(
            *("worker", self.address, "--host", "127.0.0.1"),
            *("--nthreads", 1, *options),
            path=path,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            new = set(self.client.nthreads()) - before
            if new:
                return process, new.pop()
            time.sleep(0.05)
        raise TimeoutError("no worker came up")

    def _start(self, kind, *options, path=None):
        # Neither threads nor backend are set: the engine has to see to them.
        kept = ("PATH", "HOME", "TMPDIR", "REGIMEN_CACHE")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        if path is not None:
            env["PYTHONPATH"] = str(path)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", f"distributed.cli.dask_{kind}"),
                *map(str, options),
                "--no-dashboard",
            ],
            cwd=self.folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def close(self):
        self.client.close()
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # It looks for its scheduler.
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster whose one worker has the package under another path."""
    folder = tmp_path_factory.mktemp("cluster")
    leave = shutil.ignore_patterns(".*", "tests", "*.jsonl", "__pycache__")
    shutil.copytree(PACKAGE, folder / "path/keras_regimen", ignore=leave)
    cluster = Cluster(folder)
    try:
        cluster.worker(path=folder / "path")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def own_cluster(tmp_path_factory):
    """A cluster without a worker, for a test that ends some of it."""
    cluster = Cluster(tmp_path_factory.mktemp("own"))
    try:
        yield cluster
    finally:
        cluster.close()


MODEL = """
import keras
import keras_tuner
from helper import UNITS


class Net(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.layers.Flatten()])
        model.add(keras.layers.Dense(UNITS, activation="relu"))
        model.add(keras.layers.Dense(10, activation="softmax"))
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
        model.compile(
            keras.optimizers.SGD(rate), "sparse_categorical_crossentropy"
        )
        return model

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("size", [32, 64])
        return model.fit(*args, batch_size=size, **kwargs)
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The name of a HyperModel in a file with a helper beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net_model.py").write_text(MODEL)
    (tmp_path / "helper.py").write_text("UNITS = 8\n")
    return "net_model.py:Net"


@pytest.fixture
def other_keras(tmp_path):
    """A path on which Keras says that it is another version."""
    folder = tmp_path / "other" / "keras-3.14.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: keras\nVersion: 3.14.0\n"
    )
    return folder.parent


def essence(rows):
    return sorted(
        json.dumps({name: row.get(name) for name in FIGURES}) for row in rows
    )


# What is asked of a worker.


def test_a_worker_with_the_same_versions_and_one_thread_is_welcome():
    assert TERMS.refusal("tcp://w:1", dict(TERMS.versions), 1) is None


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"keras": "3.14"}, r"worker tcp://w:1 has keras 3.14 \(3.15 here\)"),
        ({"keras": None}, r"keras missing \(3.15 here\)"),
        ({"jax": "0.10"}, r"jax 0.10 \(none here\)"),
        ({"python": "3.12", "keras": "3.14"}, "python 3.12 .*, keras 3.14"),
    ],
)
def test_another_version_is_named_with_the_worker_and_both(changed, sentence):
    found = {**TERMS.versions, **changed}
    assert re.search(sentence, TERMS.refusal("tcp://w:1", found, 1))


def test_this_process_meets_its_own_terms():
    terms = Terms.here("jax")
    assert {"jax", "jaxlib", "numpy", "scikit-learn"} < set(terms.versions)
    assert "tensorflow" not in terms.versions
    assert terms.refusal("here", Terms.here("jax").versions, 1) is None


def test_a_shipped_recipe_travels_by_name_and_a_users_own_by_path(measured):
    assert script_name(find("dropout")) == "dropout"
    assert script_name(measured) == str(measured)


# The door.


@pytest.mark.slow
def test_nobody_there_is_one_sentence_within_ten_seconds(measured, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    result = CliRunner().invoke(
        app,
        ["run", str(measured), "--out", str(tmp_path), "--cluster", address],
    )
    assert time.monotonic() - started < 10
    assert result.exit_code == 2
    (sentence,) = result.stderr.strip().splitlines()
    assert f"no Dask scheduler answers at '{address}'" in sentence


@pytest.mark.parametrize("address", ["somewhere", "http://host:80", ""])
def test_what_is_no_address_is_refused(address):
    with (
        pytest.raises(RefusalError, match=r"must be an address .*Received:"),
        connected(address, "tensorflow"),
    ):
        pass


@pytest.mark.slow
def test_a_server_of_another_kind_is_refused():
    server = http.server.HTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    )
    server.RequestHandlerClass.log_message = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"tcp://127.0.0.1:{server.server_port}"
    try:
        with (
            pytest.raises(RefusalError, match="no Dask scheduler answers"),
            connected(address, "tensorflow"),
        ):
            pass
    finally:
        server.shutdown()
        server.server_close()


def test_workers_and_a_cluster_together_are_refused():
    with pytest.raises(RefusalError, match=r"workers=2, cluster='tcp://h:1'"):
        Engine(workers=2, cluster="tcp://h:1")


def in_this_process(**options):
    return distributed.LocalCluster(
        processes=False,
        protocol="tcp://",
        # Without one it takes Dask's default port, which may be taken.
        dashboard_address="127.0.0.1:0",
        **options,
    )


def test_workers_of_several_threads_are_refused():
    with (
        in_this_process(n_workers=1, threads_per_worker=2) as local,
        pytest.raises(RefusalError, match=r"runs 2 tasks at a .*--nthreads 1"),
        connected(local.scheduler_address, "tensorflow"),
    ):
        pass


def test_a_cluster_that_scales_by_demand_is_asked_for_a_worker():
    """As one that has no worker yet is waited for."""
    with in_this_process(n_workers=0, threads_per_worker=1) as local:
        local.adapt(minimum=0, maximum=1, interval="50ms")
        assert not local.scheduler.workers
        address = local.scheduler_address
        with connected(address, "tensorflow") as (client, terms):
            assert len(client.nthreads()) == 1
            assert terms.backend == "tensorflow"


# Real processes.


@pytest.mark.slow
def test_a_killed_worker_changes_no_row(cluster, fitted):
    victim, address = cluster.worker("--no-nanny")
    rows, killed, news = [], [], []
    listener = Listener(goal_of(None, "val_loss").so_far, news.append)

    def kill_at_work():
        # As a row comes back its worker may have none, and another not yet.
        while not (rows and cluster.client.processing()[address]):
            time.sleep(0.005)
        victim.kill()
        killed.append(len(rows))

    killer = threading.Thread(target=kill_at_work, daemon=True)
    with Engine(cluster=cluster.address) as engine:
        cells = engine.plan(fitted, seeds=5).cells
        killer.start()
        for row in engine.run(cells, listener):
            # Each is heard of before its end, of the killed one anew.
            assert {n.epoch for n in news if n.cell == row["id"]} >= {0, 1}
            rows.append(row)
    assert 0 < killed[0] < len(cells)
    with Engine(workers=1) as engine:
        local = engine.plan(fitted, seeds=5).cells
        assert local == cells
        assert essence(rows) == essence(engine.run(local))
    assert {row["threads"] for row in rows} == {1}
    curves = {row["id"]: row["curves"]["val_loss"] for row in rows}
    for told in filter(lambda told: told.epoch, news):
        best = min(curves[told.cell][: told.epoch])
        assert told.score == pytest.approx(best, rel=1e-6)
        assert told.epochs == 4
    # The user's own cluster goes on.
    assert cluster.scheduler.poll() is None
    assert len(cluster.client.nthreads()) == 1


@pytest.mark.slow
def test_a_shipped_recipe_runs_where_it_lies_elsewhere(cluster, tmp_path):
    with Engine(cluster=cluster.address) as engine:
        there = Path(engine.call(eval, "__import__('keras_regimen').__file__"))
        assert there.parent != PACKAGE
        plan = engine.plan(find("backpropagation"), scale="smoke", seeds=1)
        rows = list(engine.run(plan.cells))
    assert {row["status"] for row in rows} == {"done"}
    assert Path(plan.file) == find("backpropagation")
    assert {cell.file for cell in plan.cells} == {plan.file}


@pytest.mark.slow
def test_a_worker_with_another_version_is_refused(
    cluster, other_keras, measured, tmp_path
):
    process, address = cluster.worker("--no-nanny", path=other_keras)
    arguments = ["--out", tmp_path, "--cluster", cluster.address]
    try:
        result = CliRunner().invoke(
            app, ["run", str(measured), *map(str, arguments)]
        )
    finally:
        process.kill()
        process.wait()
    assert result.exit_code == 2
    (sentence,) = result.stderr.strip().splitlines()
    here = Terms.here("tensorflow").versions["keras"]
    assert f"worker {address} has keras 3.14.0 ({here} here)" in sentence
    assert not (tmp_path / "dice.jsonl").exists()


@pytest.mark.slow
def test_a_worker_with_another_version_that_joins_later_is_refused(
    cluster, other_keras, measured
):
    rows = []
    with Engine(cluster=cluster.address) as engine:
        cells = engine.plan(measured).cells
        process, _ = cluster.worker("--no-nanny", path=other_keras)
        try:
            with pytest.raises(RefusalError, match=r"^worker .* has keras 3"):
                rows.extend(engine.run(cells))
        finally:
            process.kill()
            process.wait()
    assert all(row["status"] == "done" for row in rows)


@pytest.mark.slow
def test_other_code_on_a_worker_is_refused(cluster, measured, tmp_path):
    with Engine(cluster=cluster.address) as engine:
        (cell, *_) = engine.plan(measured, seeds=1).cells
        for wrong, sentence in (
            ({"code": "0" * 16}, "has other code of dice"),
            ({"file": str(tmp_path / "no.py")}, "cannot read the recipe"),
        ):
            with pytest.raises(RefusalError, match=sentence) as refusal:
                list(engine.run([replace(cell, **wrong)]))
            assert "worker tcp://127.0.0.1" in str(refusal.value)


@pytest.mark.slow
def test_a_helper_edited_after_its_import_is_refused(cluster, measured):
    helper = measured.with_name("bones.py")
    helper.write_text("BONUS = 0\n")
    text = measured.read_text()
    measured.write_text(
        text.replace("import numpy", "import bones\nimport numpy")
    )
    with Engine(cluster=cluster.address) as engine:
        list(engine.run(engine.plan(measured, seeds=1).cells))
        # The recipe itself is imported anew, its helper is not.
        measured.write_text(measured.read_text() + "\nEDITED = True\n")
        list(engine.run(engine.plan(measured, seeds=1).cells))
        helper.write_text("BONUS = 1\n")
        with pytest.raises(RefusalError, match=r"still runs bones\.py as it"):
            engine.plan(measured, seeds=1)


@pytest.mark.slow
@pytest.mark.release
def test_only_a_worker_with_a_nanny_is_replaced(cluster, fitted):
    (replaced,) = cluster.client.nthreads()
    process, address = cluster.worker("--no-nanny")
    old = "from keras_regimen.recipes.harness.engine import training\n"
    try:
        with Engine(cluster=cluster.address) as engine:
            cells = engine.plan(fitted, seeds=3).cells
            cluster.client.run(exec, old + "training.fresh_models = 1000")
            rows = list(engine.run(cells))
            deadline = time.monotonic() + 60
            while replaced in cluster.client.nthreads():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            # Time enough for the other one to go as well.
            time.sleep(2)
            assert process.poll() is None
            while len(cluster.client.nthreads()) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert address in cluster.client.nthreads()
    finally:
        process.terminate()
        process.wait()
    assert [row["status"] for row in rows] == ["done"] * len(cells)


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "keras_regimen.recipes.cli"]
        + [str(argument) for argument in arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.release
def test_a_command_waits_for_a_worker_until_ctrl_c(
    own_cluster, measured, tmp_path
):
    asked = ["run", measured, "--out", tmp_path]
    asked += ["--cluster", own_cluster.address]
    waiting = command(*asked)
    assert "waiting for a worker at tcp://127" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    output, errors = waiting.communicate(timeout=20)
    assert (waiting.returncode, output) == (130, "")
    assert errors.splitlines()[-1].startswith("regimen: interrupted")

    waiting = command(*asked)
    assert "waiting for a worker at tcp://127" in waiting.stderr.readline()
    own_cluster.worker()
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert re.match(r"regimen: a worker is there, after \d+ s\n", errors)


@pytest.mark.slow
@pytest.mark.release
def test_a_scheduler_that_goes_away_during_the_wait_is_one_sentence(
    own_cluster, measured, tmp_path
):
    asked = ["run", measured, "--out", tmp_path]
    waiting = command(*asked, "--cluster", own_cluster.address)
    assert "waiting for a worker at tcp://127" in waiting.stderr.readline()
    own_cluster.scheduler.kill()
    _, errors = waiting.communicate(timeout=40)
    assert waiting.returncode == 2
    (sentence,) = errors.splitlines()
    assert "the connection to the scheduler at" in sentence


@pytest.mark.slow
@pytest.mark.release
def test_a_search_loses_its_workers_and_ends_with_the_same_trials(
    own_cluster, model, tmp_path
):
    first, _ = own_cluster.worker("--no-nanny")
    second, _ = own_cluster.worker("--no-nanny")
    options = {"epochs": 3, "trials": 8, "rerun": 1}
    killed = []

    class Killer(Silent):
        def finished(self, row):
            if killed == []:
                first.kill()
            elif len(killed) == 2:
                second.kill()
                own_cluster._start(
                    *("worker", own_cluster.address, "--host", "127.0.0.1"),
                    *("--nthreads", 1),
                )
            killed.append(row["id"])

    found = search_named(
        model,
        "digits",
        cluster=own_cluster.address,
        out=tmp_path / "cluster",
        reporter=Killer(),
        **options,
    )
    assert len(killed) == 9
    alone = search_named(
        model, "digits", workers=1, out=tmp_path / "alone", **options
    )
    key = operator.itemgetter("trial", "seed")
    assert sorted(found.executions, key=key) == sorted(
        alone.executions, key=key
    )
    assert found.best == alone.best


@pytest.mark.slow
@pytest.mark.release
def test_a_model_edited_after_a_worker_imported_it_is_refused(
    own_cluster, model, tmp_path
):
    def run(**options):
        return search_named(
            model,
            "digits",
            cluster=own_cluster.address,
            out=tmp_path,
            epochs=1,
            trials=1,
            rerun=0,
            **options,
        )

    own_cluster.worker("--no-nanny")
    run()
    (tmp_path / "helper.py").write_text("UNITS = 16\n")
    with pytest.raises(
        RefusalError, match=r"^worker tcp://.* still runs helper\.py as it was"
    ):
        run()


@pytest.mark.slow
@pytest.mark.release
def test_a_worker_that_has_computed_is_not_split_into_devices(
    own_cluster, fitted
):
    own_cluster.worker("--no-nanny")
    address = own_cluster.address
    with Engine(cluster=address, backend="tensorflow") as engine:
        list(engine.run(engine.plan(fitted, seeds=1).cells))
    mirrored = Computation("mirrored", devices=2)
    with Engine(
        cluster=address, backend="tensorflow", computation=mirrored
    ) as engine:
        with pytest.raises(RefusalError) as refusal:
            engine.plan(fitted, seeds=1)
        assert re.match(
            r"worker tcp://127.* cannot serve: TensorFlow has 1 CPU device .*"
            "start the process again$",
            str(refusal.value),
        )


@pytest.mark.slow
@pytest.mark.release
def test_a_scheduler_that_goes_away_is_one_sentence(tmp_path_factory, measured):
    slow = "import time; time.sleep(0.2)\n    bonus ="
    measured.write_text(measured.read_text().replace("bonus =", slow, 1))
    own = Cluster(tmp_path_factory.mktemp("own"))
    rows = []

    def run_until_it_dies(engine):
        for row in engine.run(cells):
            rows.append(row)
            own.scheduler.send_signal(signal.SIGKILL)

    try:
        own.worker()
        with Engine(cluster=own.address) as engine:
            cells = engine.plan(measured).cells
            with pytest.raises(RefusalError, match="the same command goes on"):
                run_until_it_dies(engine)
    finally:
        own.close()
    assert 1 <= len(rows) < len(cells)
