import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from keras_regimen.recipes.harness.contract.claim import Claim, Exact
from keras_regimen.recipes.harness.contract.metrics import final, value
from keras_regimen.recipes.harness.engine import computing
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.plan import Plan, make_plan
from keras_regimen.recipes.harness.refusal import RefusalError

# Two conditions and two arms, of which one alone asks for `rate`.
TWO_CONDITIONS = '''
"""Noise: does dropout help against it?"""

import keras
import numpy as np

from keras_regimen.recipes.harness import Arm, Claim, Recipe, Splits, final


def draw(seed):
    x = np.eye(4, 2) + seed
    return Splits(*[(x, np.array([0, 1, 0, 1]))] * 3)


def build(hp, data):
    learning_rate = hp.Float(
        "learning_rate", 1e-3, 1.0, sampling="log", default=0.1
    )
    inputs = x = keras.Input(data.input_shape)
    if hp.Choice("dropout", ["none", "inverted"]) != "none":
        x = keras.layers.Dropout(hp.Float("rate", 0.1, 0.7, step=0.2))(x)
    x = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.SGD(learning_rate),
                  loss="sparse_categorical_crossentropy")
    return model


def claim(statement, on, name="test_error", smallest_effect=0.01):
    return Claim(statement, "n", "dropout", "plain", final(name), "lower",
                 smallest_effect, on=on)


recipe = Recipe(
    claims=[
        claim("It helps where labels are noisy.", on="noisy"),
        claim("It helps where labels are clean.", "clean", smallest_effect=0.1),
        claim("It lowers the loss.", on=None, name="test_loss"),
    ],
    arms={
        "plain": Arm({"dropout": "none"}, tuned={"learning_rate": 0.2}),
        "dropout": Arm(
            {"dropout": "inverted"},
            tuned={"rate": 0.5},
            tuned_on={"clean": {"learning_rate": 0.3}},
        ),
    },
    data={"noisy": draw, "clean": draw},
    build=build,
    epochs=lambda hp: hp.Int("epochs", 1, 9),
    seeds=2,
)
'''


@pytest.fixture
def noise(write):
    return write(TWO_CONDITIONS, "noise")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A plan that several tests read, since making it builds models."""
    file = tmp_path_factory.mktemp("recipe") / "noise.py"
    file.write_text(TWO_CONDITIONS.lstrip())
    return make_plan(file, "hash")


def statements(plan):
    return [(claim.statement, claim.on) for claim in plan.claims]


def test_all_arms_and_conditions_of_a_seed_come_before_the_next(planned):
    assert [(c.seed, c.data, c.arm) for c in planned.cells] == [
        (0, "noisy", "plain"),
        (0, "noisy", "dropout"),
        (0, "clean", "plain"),
        (0, "clean", "dropout"),
        (1, "noisy", "plain"),
        (1, "noisy", "dropout"),
        (1, "clean", "plain"),
        (1, "clean", "dropout"),
    ]
    assert planned.cells[3] == Cell(
        recipe="noise",
        file=planned.file,
        arm="dropout",
        seed=0,
        scale="cpu",
        data="clean",
        settings={"dropout": "inverted", "rate": 0.5, "learning_rate": 0.3},
        code="hash",
        backend="tensorflow",
    )
    assert (planned.recipe, planned.seeds) == ("noise", 2)
    assert planned.summary == "Noise: does dropout help against it?"


def test_more_seeds_add_cells_at_the_end_alone(measured):
    fewer = make_plan(measured, "hash", seeds=3)
    more = make_plan(measured, "hash", seeds=4)
    assert more.cells[:6] == fewer.cells
    assert [c.seed for c in more.cells[6:]] == [3, 3]
    assert [p.seeds for p in (fewer, more)] == [3, 4]


def test_the_scale_says_how_many_seeds(measured):
    plan = make_plan(measured, "hash", scale="smoke")
    assert [c.seed for c in plan.cells] == [0, 0, 1, 1]
    assert {c.scale for c in plan.cells} == {plan.scale} == {"smoke"}


def test_each_claim_is_about_its_own_condition_or_the_first(planned):
    assert statements(planned) == [
        ("It helps where labels are noisy.", "noisy"),
        ("It helps where labels are clean.", "clean"),
        ("It lowers the loss.", "noisy"),
    ]


def test_one_of_the_recipes_own_conditions_leaves_the_others_claims_out(noise):
    plan = make_plan(noise, "hash", data="clean")
    assert plan.conditions == ("clean",)
    assert not plan.as_declared
    assert {cell.data for cell in plan.cells} == {"clean"}
    assert statements(plan)[0] == ("It helps where labels are clean.", "clean")
    assert "noisy" not in str(statements(plan))


def test_other_data_stand_in_and_what_was_said_of_several_is_said_once(noise):
    plan = make_plan(noise, "hash", data="two_spirals")
    assert plan.conditions == ("two_spirals",)
    assert {cell.data for cell in plan.cells} == {"two_spirals"}
    assert statements(plan) == [
        ("It helps where labels are noisy.", "two_spirals"),
        ("It lowers the loss.", "two_spirals"),
    ]
    # What was tuned for one of the recipe's own data is not for these.
    assert plan.arms["dropout"] == {
        "two_spirals": {"dropout": "inverted", "rate": 0.5}
    }


def test_claims_that_differ_in_their_effect_alone_are_both_judged(measured):
    text = measured.read_text()
    effect = "smallest_effect=1.0),\n"
    start = text.index("        Claim(")
    claim = text[start : text.index(effect) + len(effect)]
    stricter = claim.replace("1.0", "2.0")
    measured.write_text(text.replace(claim, claim + stricter))
    plan = make_plan(measured, "hash")
    assert [c.smallest_effect for c in plan.claims] == [1.0, 2.0]


def test_chosen_arms_leave_only_the_claims_about_them(measured):
    plan = make_plan(measured, "hash", arms=["loaded"])
    assert list(plan.arms) == ["loaded"]
    assert [(cell.arm, cell.seed) for cell in plan.cells] == [
        ("loaded", seed) for seed in range(10)
    ]
    assert plan.claims == ()
    both = make_plan(measured, "hash", arms=["loaded", "fair"])
    # The recipe's order, not the order of asking.
    assert list(both.arms) == ["fair", "loaded"]
    assert len(both.claims) == 1


def test_a_setting_reaches_the_arms_that_ask_for_it_alone(noise):
    plan = make_plan(noise, "hash", settings={"rate": 0.3, "epochs": 4})
    assert plan.arms == {
        "plain": {
            name: {"dropout": "none", "learning_rate": 0.2, "epochs": 4}
            for name in ("noisy", "clean")
        },
        "dropout": {
            "noisy": {"dropout": "inverted", "rate": 0.3, "epochs": 4},
            "clean": {
                "dropout": "inverted",
                "rate": 0.3,
                "learning_rate": 0.3,
                "epochs": 4,
            },
        },
    }
    assert [c.settings for c in plan.cells[:4]] == [
        plan.arms[cell.arm][cell.data] for cell in plan.cells[:4]
    ]


@pytest.mark.parametrize(
    "options",
    [{"settings": {"bonus": 2.0}}, {"arms": ["fair", "loaded"]}],
)
def test_a_plan_says_whether_it_is_the_recipe_as_declared(measured, options):
    assert make_plan(measured, "hash", seeds=3).as_declared
    assert not make_plan(measured, "hash", **options).as_declared


def test_how_cells_compute_is_theirs_and_makes_the_word_the_users(noise):
    plan = make_plan(noise, "hash", computation=Computation(jit=False))
    plain = make_plan(noise, "hash")
    assert {str(cell.computation) for cell in plan.cells} == {"{'jit': False}"}
    assert not plan.as_declared
    assert plan.attempt != plain.attempt
    assert {c.id for c in plan.cells}.isdisjoint(c.id for c in plain.cells)


def test_an_arm_that_cannot_compute_as_asked_is_refused_with_its_name(
    noise, monkeypatch
):
    # What it would refuse needs no six devices.
    monkeypatch.setattr(computing, "_strategy", lambda computation: None)
    six = Computation("data_parallel", devices=6)
    with pytest.raises(RefusalError, match="arm 'plain': a batch of 32 does"):
        make_plan(noise, "hash", computation=six)


@pytest.mark.parametrize(
    "computation",
    [Computation("mirrored", 2), Computation(jit=True)],
)
def test_a_recipe_that_measures_has_no_model_to_compute_otherwise(
    measured, computation
):
    with pytest.raises(RefusalError, match=f"Received: {computation}"):
        make_plan(measured, "hash", computation=computation)
    deterministic = Computation(deterministic=True)
    plan = make_plan(measured, "hash", computation=deterministic)
    assert plan.cells[0].computation == {"deterministic": True}


def test_a_setting_of_the_user_replaces_what_an_arm_has_fixed(measured):
    plan = make_plan(measured, "hash", settings={"bonus": 2.0})
    assert plan.arms == {
        arm: {"": {"bonus": 2.0}} for arm in ("fair", "loaded")
    }


def test_a_search_leaves_free_what_is_tuned_and_keeps_what_is_fixed(noise):
    plan = make_plan(noise, "hash", searching=True, data="clean")
    assert plan.arms == {
        "plain": {"clean": {"dropout": "none"}},
        "dropout": {"clean": {"dropout": "inverted"}},
    }

    def free(arm):
        return [(hp["kind"], hp["name"]) for hp in plan.space[arm]]

    rate = [("Float", "learning_rate"), ("Int", "epochs")]
    assert free("plain") == rate
    assert free("dropout") == [rate[0], ("Float", "rate"), rate[1]]
    declared = {hp["name"]: hp for hp in plan.space["dropout"]}
    ends = [declared["rate"][k] for k in ("min_value", "max_value", "step")]
    assert ends == [0.1, 0.7, 0.2]
    learning_rate = declared["learning_rate"]
    assert (learning_rate["sampling"], learning_rate["default"]) == ("log", 0.1)


def test_what_the_user_sets_is_not_searched(measured):
    plan = make_plan(
        measured, "hash", searching=True, settings={"fault": "nan"}
    )
    assert plan.space == {"fair": [], "loaded": []}
    assert plan.arms["loaded"] == {"": {"bonus": 5.0, "fault": "nan"}}


def test_a_recipe_that_measures_has_a_space_to_search_too(measured):
    plan = make_plan(measured, "hash", searching=True)
    assert {arm: [hp["name"] for hp in s] for arm, s in plan.space.items()} == {
        "fair": ["fault"],
        "loaded": ["fault"],
    }


def test_a_recipe_whose_build_raises_still_gives_a_plan(noise):
    text = noise.read_text()
    broken = "    raise ZeroDivisionError('oh')\n    learning_rate ="
    noise.write_text(text.replace("    learning_rate =", broken, 1))
    plan = make_plan(noise, "hash", settings={"rate": 0.3})
    assert len(plan.cells) == 8
    assert plan.arms["dropout"]["noisy"] == {"dropout": "inverted", "rate": 0.3}


def test_a_name_that_only_a_helper_asks_for_is_no_fault(measured):
    text = measured.read_text()
    helper = "def given(parameters):\n    return parameters.Float("
    helper += '"bonus", 0.0, 9.0, default=0.0)\n\n\ndef measure('
    asked = 'hp.Float("bonus", 0.0, 9.0, default=0.0)'
    assert asked in text
    text = text.replace(asked, "given(hp)").replace("def measure(", helper)
    measured.write_text(text)
    plan = make_plan(measured, "hash")
    assert plan.arms["loaded"] == {"": {"bonus": 5.0}}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"arms": ["l1"]}, "no arm named 'l1' in noise; it has plain, dropout"),
        ({"data": "mnits"}, "no data named 'mnits'; known are noisy, clean, b"),
        ({"data": "a.csv:y"}, "there is no file or folder .*a.csv"),
        ({"data": "diabetes"}, "predicts classes, and this data has real"),
        (
            {"settings": {"ratio": 0.3}},
            r"no hyperparameter named 'ratio' in noise \(arm 'plain'\); it "
            "asks for dropout, epochs, learning_rate, rate$",
        ),
        (
            {"settings": {"rate": 0.8}},
            "'rate' must be a number from 0.1 to 0.7. Received: rate=0.8",
        ),
        (
            {"settings": {"epochs": 0}},
            "'epochs' must be a whole number from 1 to 9. Received: epochs=0",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(noise, options, sentence):
    with pytest.raises(RefusalError, match=sentence):
        make_plan(noise, "hash", **options)


@pytest.fixture
def table(tmp_path):
    """A table whose column `d` is a real number, and `y` two classes."""
    rows = [f"{i % 7},{i * i % 11},{i / 3},{'ny'[i % 2]}" for i in range(60)]
    path = tmp_path / "own" / "a.csv"
    path.parent.mkdir()
    path.write_text("\n".join(["a,b,d,y", *rows]))
    return path


def test_own_data_is_one_condition_whose_name_says_what_it_holds(noise, table):
    plan = make_plan(noise, "hash", data="a.csv:y", folder=table.parent)
    name = f"a.csv:y@{hashlib.sha256(table.read_bytes()).hexdigest()[:8]}"
    assert plan.conditions == (name,)
    assert {cell.data for cell in plan.cells} == {name}
    assert statements(plan) == [
        ("It helps where labels are noisy.", name),
        ("It lowers the loss.", name),
    ]
    assert plan.notes == ("a.csv: 60 rows, 3 columns, target 'y': 2 classes",)
    # Any worker finds it, wherever it runs.
    source = plan.cells[0].source
    assert source.path == str(table.resolve())
    assert source(1).counts == {"train": 36, "validation": 12, "test": 12}
    # A changed file is other data, for the cells and for the verdict.
    table.write_text(table.read_text().replace("1,1,", "1,2,"))
    changed = make_plan(noise, "hash", data="a.csv:y", folder=table.parent)
    assert changed.cells[0].id != plan.cells[0].id
    assert changed.attempt != plan.attempt


def test_a_moved_file_is_the_same_data(noise, table, tmp_path):
    before = make_plan(noise, "hash", data="a.csv:y", folder=table.parent)
    moved = table.rename(tmp_path / "a.csv")
    after = make_plan(noise, "hash", data=f"{moved}:y")
    assert [c.id for c in after.cells] == [c.id for c in before.cells]
    assert after.attempt == before.attempt


IMAGES_TAKEN = ("build=build,", 'build=build, takes="image",')
SEQUENCES_TAKEN = ("build=build,", 'build=build, takes="sequence",')


@pytest.mark.parametrize(
    ("change", "target", "sentence"),
    [
        (("", ""), "d", "predicts classes, and this data has real targets"),
        (IMAGES_TAKEN, "y", r"takes images of shape \(height.*shape \(3,\)"),
        (SEQUENCES_TAKEN, "y", "takes sequences of shape"),
    ],
)
def test_a_recipe_that_cannot_take_the_data_says_so_before_any_cell(
    noise, table, change, target, sentence
):
    noise.write_text(noise.read_text().replace(*change, 1))
    with pytest.raises(RefusalError, match=sentence):
        make_plan(noise, "hash", data=f"{table}:{target}")


CLAIM = Claim(
    "It helps.",
    source="nobody",
    treatment="new",
    baseline="old",
    metric=final("test_error"),
    better="lower",
    smallest_effect=0.5,
    on="",
)
EXACT = Exact("Equal.", "nobody", value("gap"), at_most=1e-6, on="")


def small_plan(**changes):
    arms = {"new": {"": {"a": 1}}, "old": {"": {"a": 0}}}
    cells = tuple(
        Cell("demo", "demo.py", arm, seed, "cpu", "", given[""], "hash")
        for seed in range(2)
        for arm, given in arms.items()
    )
    plan = Plan(
        recipe="demo",
        file="demo.py",
        summary="",
        scale="cpu",
        seeds=2,
        claims=(CLAIM, EXACT),
        arms=arms,
        conditions=("",),
        cells=cells,
        space={},
        code="hash",
    )
    return replace(plan, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": (replace(CLAIM, statement="Aha.", source="me"), EXACT)},
        {"seeds": 7, "cells": small_plan().cells[:1]},
        {"summary": "Another docstring.", "file": "moved/demo.py"},
        {"arms": {"old": {"": {"a": 0}}, "new": {"": {"a": 1}}}},
    ],
)
def test_words_places_and_seeds_make_no_other_attempt(changes):
    assert small_plan(**changes).attempt == small_plan().attempt


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "other"},
        {"scale": "gpu"},
        {"conditions": ("wine",)},
        {"arms": {"new": {"": {"a": 2}}, "old": {"": {"a": 0}}}},
        {"cells": (replace(small_plan().cells[0], backend="jax"),)},
        {"claims": (CLAIM,)},
        {"claims": (replace(CLAIM, smallest_effect=0.6), EXACT)},
        {"claims": (replace(CLAIM, metric=final("val_error")), EXACT)},
        {"claims": (replace(CLAIM, better="higher"), EXACT)},
        {"claims": (CLAIM, replace(EXACT, at_most=1e-5))},
    ],
)
def test_whatever_can_change_the_word_is_another_attempt(changes):
    assert small_plan(**changes).attempt != small_plan().attempt


def test_an_attempt_is_the_same_in_every_process(write):
    """Hashes of strings, and so the order of sets, differ between them."""
    text = f"import sys\nsys.path.insert(0, {os.path.dirname(__file__)!r})\n"
    text += f"from {os.path.basename(__file__)[:-3]} import small_plan\n"
    script = write(text + "print(small_plan().attempt)\n", "attempt")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    printed = [process.communicate()[0].strip() for process in processes]
    assert printed == [small_plan().attempt] * 2
