import subprocess
import sys

import pytest

from keras_regimen.recipes.harness.evidence.source import (
    Source,
    describe_source,
    named_hyperparameters,
)

RECIPE = '''"""Dropout: does it help a net that overfits?

More of it.
"""
import module_that_does_not_exist

recipe = Recipe(
    build=build,
    claims=[
        Claim(
            "Dropout lowers the test error of a net "
            "that overfits.",
            source="Srivastava et al., 2014",
        ),
        Exact(statement="Another."),
    ],
)
'''


@pytest.fixture
def script(tmp_path):
    def write(text):
        folder = tmp_path / "regularization"
        folder.mkdir(exist_ok=True)
        (folder / "my_dropout.py").write_text(text)
        return folder / "my_dropout.py"

    return write


def test_description_is_read_without_an_import(script):
    assert describe_source(script(RECIPE)) == Source(
        name="my_dropout",
        topic="regularization",
        summary="Dropout: does it help a net that overfits?",
        claim="Dropout lowers the test error of a net that overfits.",
    )


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ('recipe = Recipe(claims=[Exact(statement="A.", source="B.")])', "A."),
        ('recipe = Recipe(claims=(Exact("A.", "B."), Claim("C.")))', "A."),
        ('recipe: R = harness.Recipe(claims=[h.Claim("A.")])', "A."),
        ('recipe = Recipe(callbacks=[C("B.")], claims=[Claim("A.")])', "A."),
        # What is not written out is not computed.
        ("recipe = Recipe(claims=CLAIMS)", ""),
        ("recipe = Recipe(claims=[Claim(f'{x}.')])", ""),
        ("recipe = Recipe(claims=[*CLAIMS, Claim('B.')])", ""),
        ("recipe = Recipe(claims=[])", ""),
        ("recipe = other(claims=[Claim('A.')])", ""),
        ("def f():\n    return Recipe(claims=[Claim('A.')])", ""),
        ("", ""),
    ],
)
def test_headline_is_the_first_claim_that_is_a_literal(script, text, claim):
    assert describe_source(script(text)).claim == claim


def test_script_without_a_docstring_has_no_summary(script):
    assert describe_source(script("x = 1")).summary == ""


def test_hyperparameters_are_named_wherever_hp_is_asked(script):
    text = """
def build(hp, data):
    hp.Float("rate", 0.0, 0.8)
    hp.Choice(name="kind", values=["a", "b"])
    hp.conditional_scope("not_asked", ["a"])
    config.get("not_one")
    data["not_one_either"]
    hp.Int(computed, 1, 2)

def train(hp, model, data, fit):
    if hp.get("rounds") and hp["late"] and hp.Boolean("rate"):
        hp.Fixed("fixed", 1)
"""
    assert named_hyperparameters(script(text)) == [
        "fixed",
        "kind",
        "late",
        "rate",
        "rounds",
    ]


@pytest.mark.parametrize("read", [describe_source, named_hyperparameters])
def test_syntax_error_names_file_and_line(script, read):
    with pytest.raises(ValueError, match=r"my_dropout\.py, line 2: .*never"):
        read(script("x = 1\ny = ("))


def test_reading_imports_no_library():
    program = (
        "import sys, keras_regimen.recipes.harness.evidence.source\n"
        "assert not {'keras', 'numpy', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
