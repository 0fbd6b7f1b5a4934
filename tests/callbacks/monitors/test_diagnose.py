import collections
import json
import math
from pathlib import Path

import numpy as np
import pytest

import keras_regimen
from keras_regimen.callbacks.monitors.diagnose import diagnose

EPOCHS = np.arange(20)


def fall(start, end, epochs=5.0):
    return end + (start - end) * np.exp(-EPOCHS / epochs)


def history(loss, val_loss, val_accuracy=None):
    curves = {"loss": list(loss), "val_loss": list(val_loss)}
    if val_accuracy is not None:
        curves["val_accuracy"] = list(val_accuracy)
    return curves


# By hand: from 2 to 0 is the whole way, so 0.2 of it is 0.4, and so on.
RISE = 0.02 * np.maximum(EPOCHS - 8, 0)
TABLE = [
    ("good fit", fall(2, 0.1), fall(2, 0.3), None),
    ("good fit", fall(2, 0.1), fall(2, 0.3) + 0.5 * RISE, None),
    ("underfitting", fall(2, 1.5), fall(2, 1.55), None),
    ("underfitting", np.full(20, 2.0), np.full(20, 2.0), None),
    ("overfitting", fall(2, 0.1), fall(2, 0.8), None),
    ("overfitting", fall(2, 0.3), fall(2, 0.3, 2.0) + 1.5 * RISE, None),
    ("overfitting", fall(2, 0.1), fall(2, 0.8), fall(0.1, 0.9)),
    ("overfitting", fall(2, 0.1), fall(2, 0.8), fall(0.1, 0.9) - 0.5 * RISE),
    ("label noise", fall(2, 0.1), fall(2, 0.8), fall(0.1, 0.9, 2) - RISE),
    # The error alone is no ground to suspect labels.
    ("good fit", fall(2, 0.1), fall(2, 0.3), fall(0.1, 0.9, 2) - RISE),
    ("divergence", fall(2, 0.5) + 8 * RISE, fall(2, 0.5), None),
    ("divergence", 2 + EPOCHS**3.0, 2 + EPOCHS**3.0, None),
    ("divergence", [2.0, 1.0, math.nan], [2.0, 1.0, math.nan], None),
    ("divergence", [2.0, 1.0, 1.0], [2.0, math.inf, 1.0], None),
]


@pytest.mark.parametrize(("word", "loss", "val_loss", "val_accuracy"), TABLE)
def test_curves_made_to_a_word_get_it(word, loss, val_loss, val_accuracy):
    assert diagnose(history(loss, val_loss, val_accuracy)).word == word


def test_sentences_quote_the_figures_that_decided():
    def sentence(*curves, **bounds):
        return diagnose(history(*curves), **bounds).sentence

    assert sentence([2, 1, 0.5], [2, 1, 1.25]) == (
        "the validation loss ended at 1.25, the training loss at 0.5; the "
        "former was 1 after epoch 2"
    )
    assert sentence([2, 1.5], [2, 1.6]) == (
        "the validation loss ended at 1.6, the training loss at 1.5: 25% of "
        "the way from 2 to 0"
    )
    assert sentence([2, 1, math.nan], [2, 1, 1]) == (
        "the training loss was nan at the end of epoch 3"
    )
    assert sentence([2, 1, 3], [2, 1, 1]) == (
        "the training loss ended at 3, after 1 in epoch 2"
    )
    assert "from 10.0% to 30.0%" in sentence([2, 1], [1, 2], [0.9, 0.7])
    # Which epoch it was is unknown where validation was seldom.
    assert "1 after" not in sentence([2, 2, 1, 0.5], [1, 1.5])


def test_figures_are_shares_of_the_way_from_reference_to_target():
    found = diagnose(
        history([3, 2, 1], [3, 1.5, 2], [0.5, 0.8, 0.6]), 5.0, target=1.0
    )
    assert found.figures == pytest.approx(
        {
            "training": 1,
            "validation": 2,
            "best_validation": 1.5,
            "reference": 5,
            "target": 1,
            "learned": 1,
            "gap": 0.25,
            "turn": 0.125,
            "climb": 0,
            "error_rise": 0.2,
        }
    )


def test_a_diagnosis_does_not_depend_on_the_unit_of_the_loss():
    for word, loss, val_loss, _ in TABLE:
        if word == "divergence":
            continue
        found = diagnose(
            history(3 * np.array(loss) - 7, 3 * np.array(val_loss) - 7),
            target=-7,
        )
        plain = diagnose(history(loss, val_loss))
        assert found.word == plain.word
        for name in ("learned", "gap", "turn", "climb"):
            np.testing.assert_allclose(
                found.figures[name], plain.figures[name], atol=1e-12
            )


def test_the_end_is_a_median_of_the_last_tenth():
    loss = np.linspace(2, 0.1, 50)
    loss[-1] = 2.0
    assert diagnose(history(loss, loss)).word == "good fit"


def test_an_error_counts_as_an_accuracy_does():
    curves = history([2, 1], [1, 2]) | {"val_error": [0.1, 0.3]}
    assert diagnose(curves).word == "label noise"
    assert diagnose(curves, label_noise=0.21).word == "overfitting"


@pytest.mark.parametrize(
    ("recipe", "condition", "arm", "word", "at_least"),
    [
        ("stochastic_depth", "noisy", "plain_longer", "label noise", 0.8),
        ("stochastic_depth", "clean", "plain_longer", "good fit", 1),
        ("dropout", "noisy", "plain", "overfitting", 1),
        ("early_stopping", "clean", "to_the_end", "good fit", 1),
        ("batch_norm", "", "sigmoid", "underfitting", 1),
    ],
)
def test_real_curves_get_the_word_that_their_recipe_made_them_for(
    recipe, condition, arm, word, at_least
):
    evidence = Path(keras_regimen.__file__).parent / "evidence"
    words = collections.Counter()
    for line in (evidence / f"{recipe}.jsonl").read_text().splitlines():
        row = json.loads(line)
        if (row.get("arm"), row.get("data", "")) != (arm, condition):
            continue
        # Ten classes, which the first epoch need not know.
        words[diagnose(row["curves"], reference=math.log(10)).word] += 1
    assert words[word] >= at_least * words.total() > 0


def test_curves_that_allow_no_diagnosis_are_refused():
    with pytest.raises(ValueError, match="`val_loss`.*Received: `loss`"):
        diagnose({"loss": [1.0]})
    with pytest.raises(ValueError, match="above `target`.*loss of -1"):
        diagnose(history([-1.0, -2.0], [-1.0, -2.0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": math.nan}, "finite.*reference=nan"),
        ({"target": math.inf}, "finite.*target=inf"),
        ({"reference": 1.0, "target": 1.0}, "reference=1.0, target=1.0"),
        ({"underfitting": 1.5}, "underfitting=1.5"),
        ({"gap": 0}, "gap=0"),
        ({"turn": -1}, "turn=-1"),
        ({"divergence": math.nan}, "divergence=nan"),
        ({"label_noise": 0}, "label_noise=0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        diagnose({}, **arguments)
