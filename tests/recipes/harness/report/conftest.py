"""Planted rows, as the harness writes them, and a reader of pages."""

import html.parser
from xml.etree import ElementTree

import pytest

from keras_regimen.recipes.harness.evidence.code_hash import code_hash
from keras_regimen.recipes.harness.evidence.evidence import (
    Evidence,
    evidence_of,
)

SCRIPT = '''
"""Dice: does loading <b>help</b> & for whom?"""

from keras_regimen.recipes.harness import Recipe


def build(hp, data):
    rate = hp.Float("rate", 0.0, 1.0)
    learning_rate = hp.Float("learning_rate", 1e-3, 1.0, sampling="log")


recipe = Recipe(claims=[Claim("Loading lowers the test error.")])
'''


@pytest.fixture
def claim():
    """Returns a function that makes a claim of a verdict row."""

    def make(**changes):
        treatment = [0.10, 0.12, 0.08]
        baseline = [0.14, 0.15, 0.13]
        return {
            "statement": "Loading lowers the test error.",
            "source": "folklore",
            "metric": "final test_error",
            "on": "noisy",
            "smallest_effect": 0.01,
            "at_most": None,
            "better": "lower",
            "arms": [
                side("loaded", treatment, updates=10.0, cpu_seconds=3.0),
                side("fair", baseline, updates=10.0, cpu_seconds=2.0),
            ],
            "done": 3,
            "seeds": 3,
            "verdict": "reproduced",
            "word": "reproduced",
            "reason": "Because.",
            "n": 3,
            "n_min": 2,
            "mean": 0.04,
            "sd": 0.01,
            "low": 0.02,
            "high": 0.06,
            "minimum_detectable": 0.03,
            "seeds_likely": None,
            "seeds_sure": None,
            "probability_of_improvement": 1.0,
            "new_data": [-0.01, 0.09],
            "cost": {"updates": 1.0, "evaluations": 1.0, "cpu_seconds": 1.5},
            **changes,
        }

    return make


@pytest.fixture
def exact():
    """Returns a function that makes a claim of a tolerance."""

    def make(**changes):
        return {
            "statement": "Both agree.",
            "source": "calculus",
            "metric": "worst_gap",
            "on": "",
            "smallest_effect": None,
            "at_most": 1e-2,
            "better": "lower",
            "arms": [side("tanh", [1e-4, 1e-3]), side("relu", [1e-3, 1e-4])],
            "done": 2,
            "seeds": 2,
            "verdict": "reproduced",
            "reason": "The largest of 4 values is 0.001, within 0.01.",
            "n": 4,
            "n_min": 1,
            "mean": 5.5e-4,
            "low": None,
            "high": None,
            "sd": None,
            "cost": None,
            "new_data": None,
            **changes,
        }

    return make


def side(arm, values, missed=0, collapsed=0, **cost):
    return {
        "arm": arm,
        "values": values,
        "missed": missed,
        "collapsed": collapsed,
        "cost": cost,
    }


SETTINGS = {"loaded": {"rate": 0.5}, "fair": {"rate": 0.0}}


@pytest.fixture
def cell():
    """Returns a function that makes a cell's row."""

    def make(arm="loaded", seed=0, code="now", **changes):
        values = {
            "loaded": [0.10, 0.12, 0.08],
            "fair": [0.14, 0.15, 0.13],
        }[arm]
        error = values[seed % 3]
        row = {
            "kind": "cell",
            "recipe": "dice",
            "arm": arm,
            "seed": seed,
            "scale": "cpu",
            "data": "noisy",
            "settings": SETTINGS[arm],
            "code": code,
            "backend": "tensorflow",
            "protocol": 1,
            "status": "done",
            "curves": {
                "error": [0.5, 0.4],
                "val_error": [0.5, error],
                "test_error": [0.5, error],
            },
            "steps_per_epoch": 5,
            "final": {"test_error": error, "val_error": error},
            "items": {"train": 1000, "validation": 200, "test": 597},
            "parameters": 1234,
            "fingerprint": f"{seed}" * 64,
            "source": "digits()",
            "cost": {"cpu_seconds": 2.0},
            "time": f"2026-01-0{1 + seed % 3}T00:00:00+00:00",
            "versions": {"keras": "3.15.1", "python": "3.11.7"},
            "device": "cpu",
            "threads": 1,
            **changes,
        }
        place = (arm, seed, code, row["data"], row["scale"], row["settings"])
        return {"id": str(place), **row}

    return make


@pytest.fixture
def verdict(claim):
    """Returns a function that makes a verdict row."""

    def make(code="now", claims=None, **changes):
        return {
            "kind": "verdict",
            "recipe": "dice",
            "scale": "cpu",
            "data": ["noisy"],
            "attempt": "a",
            "code": code,
            "look": 0,
            "n": 3,
            "parts": 1,
            "claims": [claim()] if claims is None else claims,
            "arms": {a: {"noisy": s} for a, s in SETTINGS.items()},
            "as_declared": True,
            "cpu_seconds": 12.0,
            "time": "2026-01-04T00:00:00+00:00",
            **changes,
        }

    return make


@pytest.fixture
def dice(write, cell, verdict):
    """A recipe with its rows; `code` is its hash, `append` adds a row."""

    class Dice:
        file = write(SCRIPT, "dice")
        code = code_hash(file)

        def append(self, *rows, suffix=""):
            for row in rows:
                evidence_of(self.file, suffix=suffix).append(row)

        def cells(self, seeds=3, **changes):
            return [
                cell(arm, seed, self.code, **changes)
                for seed in range(seeds)
                for arm in SETTINGS
            ]

        def judged(self, **changes):
            self.append(*self.cells(), verdict(self.code, **changes))
            return self

        def searched(self, rates=(0.1, 0.5, 0.9), arm="loaded"):
            """Each rate on two seeds, scoring |rate - 0.4| and 0.02 more."""
            rows = [
                trial_row(cell, arm, self.code, rate, 1000 + i, 0.02 * i)
                for rate in rates
                for i in range(2)
            ]
            best = min(rates, key=lambda rate: abs(rate - 0.4))
            rows.append(trial_row(cell, arm, self.code, best, 2000, 0.05))
            self.append(*rows, suffix=".search")
            return self

    return Dice()


def trial_row(cell, arm, code, rate, seed, more):
    score = abs(rate - 0.4) + more
    return cell(
        arm,
        seed,
        code,
        settings={"rate": rate, "kind": "x"},
        final={"val_error": score, "test_error": 1.0},
    )


SPACE = [
    {
        "kind": "Float",
        "name": "rate",
        "default": 0.1,
        "conditions": [],
        "min_value": 0.01,
        "max_value": 1.0,
        "step": None,
        "sampling": "log",
    },
    {
        "kind": "Choice",
        "name": "shape",
        "default": "flat",
        "conditions": [],
        "values": ["flat", "deep"],
        "ordered": False,
    },
    {
        "kind": "Int",
        "name": "depth",
        "default": 2,
        "conditions": [
            {
                "class_name": "Parent",
                "config": {"name": "shape", "values": ["deep"]},
            }
        ],
        "min_value": 2,
        "max_value": 8,
        "step": 2,
        "sampling": "linear",
    },
]
# Settings, the scores of two runs, and those on fresh seeds.
HUNTED = [
    ({"rate": 0.5, "shape": "flat"}, [0.8, 0.6], []),
    ({"rate": 0.1, "shape": "deep", "depth": 4}, [0.2, 0.4], [0.5]),
    ({"rate": 0.02, "shape": "flat"}, [0.5, 0.5], []),
]


@pytest.fixture
def hunt(tmp_path):
    """The rows of a model's search; `hunt()` writes some, and their path."""
    path = tmp_path / "hunter.search.jsonl"

    def run(settings, seed, score, **changes):
        row = {
            "kind": "cell",
            "recipe": "hunter",
            "arm": "model",
            "seed": seed,
            "scale": "cpu",
            "data": "digits",
            "settings": settings,
            "code": "code",
            "backend": "tensorflow",
            "protocol": 1,
            "status": "done",
            "curves": {
                "val_loss": [score + 1, score],
                "val_accuracy": [score, 0.0],
            },
            "values": {},
            "cost": {"cpu_seconds": 1.5},
            "time": "2026-01-01T00:00:00+00:00",
            "device": "cpu",
            **changes,
        }
        kept = ("settings", "seed", "code", "data", "allowance")
        return {"id": str([row.get(name) for name in kept]), **row}

    def write(trials=HUNTED, search="first", about=None, fixed=None, **changes):
        """Each trial may have changes of its own rows as a fourth part."""
        evidence = Evidence(path)
        again = []
        for place, (settings, scores, fresh, *more) in enumerate(trials):
            given = {**settings, **(fixed or {})}
            own = {**changes, **(more[0] if more else {})}
            cells = [
                run(given, 1000 + seed, score, **own)
                for seed, score in enumerate(scores)
            ]
            told = {"about": about} if about and not place else {}
            evidence.append(
                {
                    "kind": "trial",
                    "recipe": "hunter",
                    "search": search,
                    "arm": "model",
                    "trial": f"{place:02}",
                    "settings": settings,
                    "cells": [cell["id"] for cell in cells],
                    "medians": [],
                    "code": "code",
                    **told,
                }
            )
            for cell in cells:
                evidence.append(cell)
            again += [
                run(given, 2000 + seed, score, **changes)
                for seed, score in enumerate(fresh)
            ]
        for cell in again:
            evidence.append(cell)
        return path

    return write


@pytest.fixture
def about():
    """Returns a function to what a journal says of a search."""

    def make(**changes):
        return {
            "space": SPACE,
            "tuner": "bayesian",
            "trials": 5,
            "seeds": 2,
            "seed": 7,
            "objective": "val_loss",
            "direction": "min",
            "epochs": None,
            "median_rule": False,
            "planned": 5,
            "called": {"model": "my models.py:Hunter", "epochs": 3},
            **changes,
        }

    return make


class Page(html.parser.HTMLParser):
    """What a page holds: tables by class, texts by class, headings, ids."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.headings, self.tags, self.ids = {}, [], [], []
        self.words, self.links = [], []
        self._table = self._cell = None
        self._open = []
        self.by_class = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.tags.append((tag, known))
        if "id" in known:
            self.ids.append(known["id"])
        if tag == "a":
            self.links.append(known.get("href"))
        if tag == "table":
            self._table = []
            self.tables.setdefault(known.get("class", ""), []).append(
                self._table
            )
        if tag == "tr":
            self._table.append([])
        if tag in ("meta", "link", "input", "br"):
            return
        self._open.append((tag, known.get("class") or "", []))

    def handle_endtag(self, tag):
        while self._open:
            name, classes, texts = self._open.pop()
            text = " ".join("".join(texts).split())
            if self._open:
                self._open[-1][2].append("".join(texts))
            for each in classes.split():
                self.by_class.setdefault(each, []).append(text)
            if name in ("td", "th"):
                self._table[-1].append(text)
            if name in ("h1", "h2", "h3", "h4"):
                self.headings.append((int(name[1]), text))
            if name == tag:
                return

    def handle_data(self, data):
        if self._open:
            self._open[-1][2].append(data)
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def read():
    """Returns a function from HTML to what it holds."""
    return Page


@pytest.fixture
def drawn():
    """Returns a function from SVG to its elements of a class."""

    def find(svg, kind=None):
        root = ElementTree.fromstring(str(svg))  # noqa: S314
        if kind is None:
            return root
        return [
            element
            for element in root.iter()
            if kind in (element.get("class") or "").split()
        ]

    return find
