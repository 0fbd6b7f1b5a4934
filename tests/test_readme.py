"""What the README says is what commands print."""

import re
from pathlib import Path

import pytest

from keras_regimen.recipes.harness.evidence import catalogue, discovery
from keras_regimen.recipes.harness.terminal import listing

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("README.md", listing.headlines),
        ("docs/results.md", listing.every_claim),
    ],
)
def test_the_published_verdicts_are_those_of_the_evidence(page, table):
    text = (ROOT / page).read_text()
    published = re.search(r"--markdown \w+ -->\n(.*?)\n<!--", text, re.DOTALL)
    assert published, "no verdicts between the marks"
    assert published[1] == table(catalogue.entries())


@pytest.mark.parametrize("name", discovery.shipped())
def test_every_recipe_has_a_current_verdict_on_ten_seeds(name):
    entry = catalogue.entry(discovery.shipped()[name])
    assert not entry.stale
    assert entry.verdict is not None
    assert entry.seeds >= 10


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_python_examples_run(page):
    text = (ROOT / page).read_text()
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(example, page, "exec"), {"__name__": "example"})  # noqa: S102
