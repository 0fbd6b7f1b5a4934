import math
from dataclasses import replace
from pathlib import Path

import pytest

from keras_regimen.recipes.harness.evidence.evidence import Evidence
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.found import Search


def found(score=0.25):
    runs = [
        {
            "arm": "deep",
            "trial": "0",
            "hyperparameters": {"rate": 0.5},
            "seed": 1000,
            "score": 0.25,
            "status": "done",
        },
        {
            "arm": "deep",
            "trial": "1",
            "hyperparameters": {"units": 8},
            "seed": 1000,
            "score": math.nan,
            "status": "failed",
            "epochs": 3,
        },
    ]
    best = {"hyperparameters": {"rate": 0.5}, "score": score, "rerun": 0.3}
    return Search("tiny", "val_loss", {"deep": best}, runs, [], Path("x.jsonl"))


def test_the_table_has_a_column_for_each_hyperparameter():
    assert found().to_csv().splitlines() == [
        "arm,trial,seed,rate,units,epochs,score,status",
        "deep,0,1000,0.5,,,0.25,done",
        "deep,1,1000,,8,3,nan,failed",
    ]


def test_a_search_without_a_score_did_not_succeed():
    assert found().succeeded
    assert not found(math.nan).succeeded


def test_the_best_is_handed_to_build_as_it_is():
    hp = found().best_hyperparameters
    assert hp.Float("rate", 0.0, 1.0) == 0.5


def test_it_is_printed_as_the_command_prints_it():
    text = repr(found())
    assert "tiny: lowest mean val_loss" in text
    assert "rate=0.5" in text


def write(path, journal, rate, score):
    """Writes a search of one trial."""
    told = {"recipe": "tiny", "arm": "model", "settings": {"rate": rate}}
    evidence = Evidence(path)
    evidence.append(
        {
            "kind": "trial",
            "search": journal,
            "trial": "0",
            "cells": [journal],
            **told,
        }
    )
    evidence.append(
        {
            "kind": "cell",
            "id": journal,
            "seed": 1000,
            "scale": "cpu",
            "data": "digits",
            "code": "",
            "status": "done",
            "curves": {"val_f1": [score, 0.0]},
            **told,
        }
    )


def test_a_models_search_is_a_page_of_its_own_trials(tmp_path):
    path = tmp_path / "tiny.search.jsonl"
    write(path, "mine", 0.5, 0.75)
    write(path, "newer", 0.25, 0.5)
    search = replace(
        found(),
        path=path,
        of_recipe=False,
        objective="best val_f1",
        direction="max",
        journals=["mine"],
    )
    html = search.to_html()
    assert "The only trial has a validation f1 of 0.75." in html
    assert "index.html" not in html


def test_the_search_of_a_recipe_has_no_page_of_its_own():
    with pytest.raises(RefusalError, match="`regimen report tiny` writes"):
        found().to_html()
