import base64
import hashlib
import math
import re
from itertools import pairwise

from keras_regimen.recipes.harness.report.search_dossier import read_search
from keras_regimen.recipes.harness.report.search_page import (
    search_page,
    sentences,
    summary,
)


def page(read, path, **options):
    return read(search_page(read_search(path), **options))


def test_the_page_answers_first(hunt, about, read):
    found = page(read, hunt(about=about()))
    assert found.headings[0] == (1, "hunter")
    assert found.by_class["sentence"] == [
        "The best of 3 trials has a validation loss of 0.3, the mean of 2 "
        "runs. On 1 fresh seed it is 0.5, 0.2 worse: the best of many is "
        "partly the luckiest."
    ]
    assert "rate 0.1 shape deep depth 4" in found.text
    # Seven runs of 1.5 seconds; five trials were to be.
    assert "trials 3 of 5 runs 7 all runs together 10.5 s of CPU" in found.text


def test_space_tuner_and_trials_have_their_tables(hunt, about, read):
    found = page(read, hunt(about=about(), fixed={"width": 8}))
    (space,) = found.tables["space"]
    assert space[0] == ["hyperparameter", "kind", "values", "only if"]
    assert space[3] == [
        "depth",
        "Int",
        "2 to 8 in steps of 2",
        "shape is deep",
    ]
    assert "Given, and not searched: width = 8." in found.text
    assert "model my models.py:Hunter looked for" in found.text
    assert "tuner bayesian seeds a trial 2" in found.text
    (trials,) = found.tables["trials"]
    assert trials[2][:4] == ["01", "0.3", "0.2, 0.4", "finished, the best"]
    assert "The rows do not say" not in found.text


def test_there_is_a_plot_by_trial_and_one_for_each_hyperparameter(
    hunt, about, read
):
    found = page(read, hunt(about=about()))
    assert found.by_class["panel-name"] == ["rate", "shape", "depth"]
    drawings = [a["aria-label"] for tag, a in found.tags if tag == "svg"]
    assert [text.partition(".")[0] for text in drawings] == [
        "model: score by trial",
        "model: rate",
        "model: shape",
        "model: depth",
    ]


def test_a_best_value_at_an_end_is_warned_of(hunt, about, read):
    path = hunt([({"rate": 0.98}, [0.1], [])], about=about())
    assert page(read, path).by_class["warning"] == [
        "model: the best rate, 0.98, lies at an end of its range (0.01 to 1): "
        "widen it"
    ]


def test_a_journal_that_says_nothing_is_said_to(hunt, read):
    found = page(read, hunt())
    assert "The rows do not say which values were declared" in found.text
    (space,) = found.tables["space"]
    assert space[0] == ["hyperparameter", "values"]


def test_failures_are_counted_and_told(hunt, read):
    failed = {"status": "failed", "error": "too <hot>", "traceback": "line 1"}
    path = hunt(
        [({"rate": 0.1}, [0.1], [], failed), ({"rate": 0.2}, [0.2], [])]
    )
    found = page(read, path)
    assert "failed 1 " in found.text
    assert "too <hot> digits / model / seed 1000" in found.text
    assert "A cross has no score." in found.text


def test_a_search_without_a_success_says_so(hunt, read):
    path = hunt([({"rate": 0.1}, [0.1], [], {"status": "failed"})])
    found = page(read, path)
    assert found.by_class["sentence"] == ["No trial succeeded."]
    assert "box-failed" in found.by_class
    assert "plot" not in found.by_class


def test_luck_is_told_either_way(hunt):
    def said(scores, fresh):
        path = hunt([({"rate": 0.1}, scores, fresh)], search=str(fresh))
        return sentences(read_search(path))[1]

    # The latest row of a run counts.
    assert said([0.5], []) == "It did not run again on fresh seeds."
    assert said([0.5], [0.4]) == "On 1 fresh seed it is 0.4, 0.1 better."
    assert said([0.5], [0.5]) == "On 1 fresh seed it is the same."
    assert said([0.5], [math.nan]) == "On 1 fresh seed it failed."


def test_an_index_has_trials_score_and_fresh_seeds(hunt):
    assert summary(read_search(hunt())) == ("3 trials", "0.3", "0.5")


def test_headings_are_in_order_and_links_lead_somewhere(hunt, about, read):
    found = page(read, hunt(about=about()))
    levels = [level for level, _ in found.headings]
    assert all(below <= above + 1 for above, below in pairwise(levels))
    inside = [link[1:] for link in found.links if link[0] == "#"]
    assert set(inside) <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert "index.html" in found.links
    alone = page(read, hunt(about=about()), alone=True)
    assert "index.html" not in alone.links


def test_a_page_asks_nothing_of_the_network(hunt, about):
    html = search_page(read_search(hunt(about=about())))
    assert re.findall(r"(?:src|href)=\"(?!#|data:|index\.html)", html) == []
    script = re.search(r"<script>(.*)</script>", html, re.S)[1]
    digest = hashlib.sha256(script.encode()).digest()
    assert f"sha256-{base64.b64encode(digest).decode()}" in html


def test_the_line_of_hyperband_is_of_those_that_trained_longest(hunt, read):
    trials = [
        ({"rate": 0.1}, [0.1], [], {"allowance": {"epochs": 1}}),
        ({"rate": 0.1}, [0.5], [], {"allowance": {"epochs": 3}}),
    ]
    found = page(read, hunt(trials))
    assert "the best so far of those that trained longest." in found.text
    assert "has a validation loss of 0.5" in found.text
