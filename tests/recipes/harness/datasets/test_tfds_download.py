import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from keras_regimen.recipes.harness.datasets.tfds_download import (
    prepare,
    unreachable,
)
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.fixture
def server(monkeypatch):
    """The address of a server that answers with the code in the path."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(int(self.path[1:]))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # Bound, and nobody listens.
        yield held.getsockname()[1]


@pytest.mark.parametrize("code", ["200", "405"])
def test_a_host_that_answers_can_be_reached(server, code):
    assert unreachable([f"{server}/{code}"]) is None


@pytest.mark.parametrize("code", ["403", "404", "503"])
def test_a_host_that_refuses_is_named_with_its_answer(server, code):
    found = unreachable([f"{server}/{code}"])
    host = server.removeprefix("http://")
    assert found == f"no connection to {host} (it answers {code})"


def test_a_host_that_is_silent_takes_no_longer_than_said(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        found = unreachable([f"http://{host}/200"], seconds=0.2)
        assert time.monotonic() - start < 2
    assert found.startswith(f"no connection to {host} (")


def test_nothing_to_download_is_no_problem():
    assert unreachable([]) is None


def test_a_set_that_cannot_be_downloaded_is_one_sentence(
    tmp_path, monkeypatch, closed_port
):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    start = time.monotonic()
    with pytest.raises(RefusalError) as refused:
        prepare("mnist", tmp_path)
    assert time.monotonic() - start < 5
    sentence = str(refused.value)
    assert sentence.startswith(f"mnist is not prepared in {tmp_path}, and ")
    assert "Connection refused" in sentence
    assert f"`tfds build mnist --data_dir {tmp_path}`" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("mnist_corrupted/huge", "mnist_corrupted has identity, shot_noise"),
        ("mnist/huge", "has no 'mnist/huge'; mnist has no forms at all"),
        ("imagenet2012", "files that its owners give to a person alone"),
    ],
)
def test_what_cannot_be_had_is_said(tmp_path, word, sentence):
    with pytest.raises(RefusalError, match=sentence):
        prepare(word, tmp_path)


def test_an_unknown_name_is_left_to_the_caller(tmp_path):
    with pytest.raises(LookupError):
        prepare("mnits", tmp_path)
