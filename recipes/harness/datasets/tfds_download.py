"""Prepares a set of TensorFlow Datasets, having looked whether it can be."""

import contextlib
import io
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from ..refusal import RefusalError

# `tfds.load` tries a host that does not answer for minutes.
_SECONDS = 2.0
# What a server says to a question that it allows only in another form.
_ANSWERS = (400, 405, 501)


def check(word: str, data_dir: Path) -> None:
    """Refuses a set that cannot be downloaded, which takes seconds to see.

    TensorFlow is not imported for it.

    Args:
        word: String. `name`, `name/config`, each with `:version` or without.
        data_dir: Folder of TensorFlow Datasets.

    Raises:
        RefusalError: If it cannot be had.
        LookupError: If TensorFlow Datasets knows no such name.
    """
    import tensorflow_datasets as tfds

    name, _, config = word.partition(":")[0].partition("/")
    if name not in tfds.list_builders(with_community_datasets=False):
        raise LookupError(name)
    known = tfds.builder_cls(name)
    if config and config not in known.builder_configs:
        configs = ", ".join(known.builder_configs) or "no forms at all"
        raise RefusalError(
            f"TensorFlow Datasets has no {word!r}; {name} has {configs}"
        )
    by_hand = f"tfds build {word} --data_dir {data_dir}"
    if known.MANUAL_DOWNLOAD_INSTRUCTIONS:
        raise RefusalError(
            f"{word} is not prepared in {data_dir}, and needs files that its "
            f"owners give to a person alone; get them, and prepare it with "
            f"`{by_hand}`"
        )
    problem = unreachable(known.url_infos or ())
    if problem:
        raise RefusalError(
            f"{word} is not prepared in {data_dir}, and cannot be downloaded: "
            f"{problem}; run `{by_hand}` where there is a network, or say with "
            "--data-dir where it lies"
        )


def prepare(word: str, data_dir: Path) -> None:
    """Downloads and prepares a set that TensorFlow Datasets knows.

    Args:
        word: String. As of `check`.
        data_dir: Folder of TensorFlow Datasets.

    Raises:
        RefusalError: As of `check`, or if it fails on the way.
        LookupError: As of `check`.
    """
    import tensorflow_datasets as tfds

    check(word, data_dir)
    try:
        # It prints progress, which does not belong into our own output.
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            builder = tfds.builder(word, data_dir=data_dir, try_gcs=False)
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    try_download_gcs=False
                )
            )
    except Exception as error:
        raise RefusalError(
            f"{word} could not be prepared in {data_dir}: {_first_line(error)}"
        ) from error


def unreachable(urls: Iterable[str], seconds: float = _SECONDS) -> str | None:
    """Returns why one of these cannot be downloaded now, or `None`.

    It asks for the headers of one address of each host, all at once, and
    waits no longer than said: not for a slow look-up of the name either.

    Args:
        urls: Addresses.
        seconds: Float. How long to wait.
    """
    by_host = {urlsplit(url).netloc: url for url in urls}
    problems = dict.fromkeys(by_host, f"no answer in {seconds:g} seconds")
    threads = [
        threading.Thread(
            target=_ask, args=(host, url, seconds, problems), daemon=True
        )
        for host, url in by_host.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    found = [f"{host} ({why})" for host, why in problems.items() if why]
    return f"no connection to {found[0]}" if found else None


def _ask(host: str, url: str, seconds: float, problems: dict[str, str]) -> None:
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        # Not `urlopen`, which keeps the proxies of its first call.
        opener = urllib.request.build_opener()
        opener.open(request, timeout=seconds).close()
    except urllib.error.HTTPError as error:
        refused = error.code not in _ANSWERS
        problems[host] = f"it answers {error.code}" if refused else ""
    except Exception as error:
        problems[host] = _first_line(getattr(error, "reason", error))
    else:
        problems[host] = ""


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
