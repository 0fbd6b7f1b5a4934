import pytest
from markupsafe import Markup

from keras_regimen.recipes.harness.report.svg import drawing, element, percent


def test_text_and_attributes_are_escaped_and_markup_is_not(drawn):
    inner = element("tspan", "<script>")
    found = element("text", inner, Markup("&amp;"), id='a"b')
    assert str(found) == (
        '<text id="a&#34;b"><tspan>&lt;script&gt;</tspan>&amp;</text>'
    )
    parsed = drawn(found)
    assert parsed.get("id") == 'a"b'
    assert parsed[0].text == "<script>"


@pytest.mark.parametrize(
    ("value", "told"),
    [(1 / 3, "0.33"), (2.0, "2"), (-0.001, "0"), (7, "7"), (120.0, "120")],
)
def test_figures_are_short(value, told):
    assert element("a", x=value).striptags() == ""
    assert str(element("a", x=value)) == f'<a x="{told}"></a>'


def test_an_attribute_of_none_is_left_out():
    assert str(element("a", x=None, class_="b")) == '<a class="b"></a>'


def test_a_drawing_says_what_it_shows(drawn):
    root = drawn(drawing("A & b", "It <rises>.", 20, kind="small"))
    assert root.get("role") == "img"
    assert [(e.tag, e.text) for e in root] == [
        ("title", "A & b"),
        ("desc", "It <rises>."),
    ]
    assert root.get("aria-label") == "A & b. It <rises>."


def test_percent():
    assert percent(12.346) == "12.35%"
    assert percent(50.0) == "50%"
