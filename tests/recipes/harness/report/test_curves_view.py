from keras_regimen.recipes.harness.report.curves_view import curves_view
from keras_regimen.recipes.harness.report.dossier import read_dossier


def view(dice, **changes):
    dice.judged()
    return curves_view(read_dossier(dice.file), "noisy")


def test_a_panel_for_each_curve_in_the_order_of_the_eye(dice):
    names = [name for name, _ in view(dice)["panels"]]
    assert names == ["training error", "validation error", "test error"]


def test_the_table_holds_median_and_quartiles(dice):
    table = dict(view(dice)["table"])["test error"]
    assert table["arms"] == ["loaded", "fair"]
    # Two epochs of five updates; at the second 0.08, 0.10 and 0.12, whose
    # quartiles are 0.09 and 0.11.
    assert table["rows"] == [
        ("5", ["50.0 % (50.0 % to 50.0 %)"] * 2),
        ("10", ["10.0 % (9.0 % to 11.0 %)", "14.0 % (13.5 % to 14.5 %)"]),
    ]


def test_the_headlines_arms_are_picked(dice, claim):
    found = view(dice)
    assert found["headline"] == ["loaded", "fair"]
    assert found["seeds"] == 3


def test_arms_keep_their_place_in_the_legend(dice, drawn):
    legend = view(dice)["legend"]
    assert [entry["arm"] for entry in legend] == ["loaded", "fair"]
    swatches = [drawn(entry["swatch"]).get("class") for entry in legend]
    assert swatches == ["swatch arm-0", "swatch arm-1"]


def test_a_condition_without_curves_has_no_panels(dice):
    dice.judged()
    assert curves_view(read_dossier(dice.file), "clean")["panels"] == []
