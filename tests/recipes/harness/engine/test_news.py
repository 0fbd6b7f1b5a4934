import math
import threading
from types import SimpleNamespace

import distributed
import pytest

from keras_regimen.recipes.harness.engine import news as news_module
from keras_regimen.recipes.harness.engine.news import (
    Listener,
    News,
    Teller,
    listening,
    teller_in_worker,
)


def last_loss(row):
    return row["curves"]["loss"][-1]


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(news_module, "time", time)
    return time


def test_the_first_epoch_is_told_and_later_ones_once_a_second(clock):
    said = []
    teller = Teller("0f3a", last_loss, said.append)
    teller.begin()
    for epoch in range(1, 8):
        if teller.due:
            row = {"curves": {"loss": [10.0 - epoch]}}
            teller.tell(epoch, 9, row)
        clock.now += 0.4
    # At 0, 1.2 and 2.4 seconds.
    assert said[1:] == [News("0f3a", e, 9, 10.0 - e) for e in (1, 4, 7)]
    start = said[0]
    assert (start.cell, start.epoch, start.epochs) == ("0f3a", 0, None)
    assert math.isnan(start.score)


def tell_all(cell):
    teller = teller_in_worker(cell, last_loss)
    teller.begin()
    teller.tell(1, None, {"curves": {"loss": [0.5]}})
    # A thread that no worker knows.
    thread = threading.Thread(target=teller.begin)
    thread.start()
    thread.join()
    return cell


def test_news_of_a_worker_are_heard_before_its_result(client):
    said = []
    with listening(client, Listener(last_loss, said.append)):
        assert client.submit(tell_all, "a", pure=False).result() == "a"
        assert [(n.cell, n.epoch, n.epochs) for n in said] == [
            ("a", 0, None),
            ("a", 1, None),
        ]
        assert said[1].score == 0.5
    # Afterwards nobody listens, and no worker minds.
    client.submit(tell_all, "b", pure=False).result()
    assert {n.cell for n in said} == {"a"}


def test_a_client_that_closes_while_it_listens_does_no_harm(client):
    address = client.scheduler.address
    with distributed.Client(address, set_as_default=False) as other:
        stack = listening(other, Listener(last_loss, print))
        stack.__enter__()
    stack.__exit__(None, None, None)
    assert client.submit(tell_all, "c", pure=False).result() == "c"


def test_where_nobody_listens_nothing_is_subscribed():
    with listening(client=None, listener=None):
        pass
