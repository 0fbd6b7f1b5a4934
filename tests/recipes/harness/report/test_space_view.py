import pytest

from keras_regimen.recipes.harness.report.search_dossier import read_search
from keras_regimen.recipes.harness.report.space_view import space_view


def test_the_declared_space_is_told_with_its_conditions(hunt, about):
    found = space_view(read_search(hunt(about=about())))
    assert [tuple(row.values()) for row in found] == [
        ("rate", "Float", "0.01 to 1, log scale", ""),
        ("shape", "Choice", "flat, deep", ""),
        ("depth", "Int", "2 to 8 in steps of 2", "shape is deep"),
    ]


@pytest.mark.parametrize(
    ("config", "values"),
    [
        ({"kind": "Boolean"}, "True, False"),
        ({"kind": "Choice", "values": [0.001, 0.01]}, "0.001, 0.01"),
        (
            {"kind": "Int", "min_value": 1, "max_value": 3, "step": 1},
            "1 to 3",
        ),
        (
            {
                "kind": "Float",
                "min_value": 0.5,
                "max_value": 1.0,
                "step": 0.125,
                "sampling": "reverse_log",
            },
            "0.5 to 1 in steps of 0.125, reverse log scale",
        ),
    ],
    ids=str,
)
def test_every_kind_has_its_words(hunt, about, config, values):
    space = [{"name": "it", "conditions": [], **config}]
    (row,) = space_view(read_search(hunt(about=about(space=space))))
    assert row["values"] == values


def test_what_was_tried_stands_for_a_space_that_is_not_known(hunt):
    found = space_view(read_search(hunt()))
    assert [(row["name"], row["values"]) for row in found] == [
        ("rate", "0.02 to 0.5 were tried"),
        ("shape", "flat, deep"),
        ("depth", "4"),
    ]
