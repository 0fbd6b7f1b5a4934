import pytest

from keras_regimen.recipes.harness.report.dossier import read_dossier
from keras_regimen.recipes.harness.report.index_page import (
    MEANINGS,
    index_page,
    together,
)
from keras_regimen.recipes.harness.report.search_dossier import read_search
from keras_regimen.recipes.harness.terminal.styles import STYLES


@pytest.fixture
def index(dice, read):
    def make(**changes):
        dice.judged(**changes)
        return read(index_page([read_dossier(dice.file)]))

    return make


def test_every_word_has_a_meaning():
    assert set(MEANINGS) == set(STYLES)


def test_each_claim_has_its_word_and_gain(index, claim):
    tiny = claim(verdict="no effect", mean=-0.001, low=-0.002, high=0.001)
    found = index(claims=[claim(), tiny])
    assert found.by_class["gain"] == ["+4 points", "\u22120.1 points"]
    assert found.by_class["word"][:2] == ["reproduced", "no effect"]
    assert "dice.html" in found.links
    assert "3 seeds, 6 runs, 12 s of CPU time" in found.text


def test_the_filter_offers_what_there_is(index, claim):
    found = index(claims=[claim(), claim(verdict="opposite")])
    values = [
        attributes["data-value"]
        for tag, attributes in found.tags
        if tag == "button"
    ]
    topic = read_topic(found)
    assert values == ["", topic, "", "reproduced", "opposite"]


def read_topic(found):
    (topic,) = {
        attributes["data-topic"]
        for tag, attributes in found.tags
        if "data-topic" in attributes
    }
    return topic


def test_a_recipe_without_a_verdict_shows_its_claim(dice, read):
    found = read(index_page([read_dossier(dice.file)]))
    assert "Loading lowers the test error." in found.text
    assert found.by_class["word"][0] == "no verdict yet"


def test_chance_is_told_over_all_recipes(dice, claim, exact):
    words = ["reproduced"] * 3 + ["same direction", "opposite", "failed", None]
    dice.judged(claims=[*(claim(verdict=w) for w in words), exact()])
    told = together([read_dossier(dice.file)])
    # Failed ones and tolerances are no tests; 0.025 of five is 0.125.
    assert told.startswith("5 claims of a difference were tested, and 4 of")
    assert "at most 0.1 would be expected to" in told


def test_searches_of_models_stand_behind_the_recipes(dice, hunt, read):
    dice.judged()
    search = read_search(hunt())
    found = read(index_page([read_dossier(dice.file)], [search]))
    assert found.headings[0] == (1, "What the recipes found")
    assert (2, "1 search of a model") in found.headings
    (searches,) = found.tables["searches"]
    assert searches[1] == [
        "hunter",
        "validation loss",
        "digits",
        "3 trials",
        "0.3",
        "0.5",
    ]
    assert {"dice.html", "hunter.search.html"} <= set(found.links)


def test_searches_alone_need_no_filter_of_recipes(hunt, read):
    found = read(index_page([], [read_search(hunt()), read_search(hunt())]))
    assert found.headings == [
        (1, "What the searches found"),
        (2, "2 searches of models"),
    ]
    assert "filter" not in found.by_class
    assert "claims of a difference" not in found.text
