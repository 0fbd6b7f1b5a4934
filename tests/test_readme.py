"""What the README says is what commands print."""

import re
from pathlib import Path

import pytest

from keras_regimen.recipes.harness.evidence import catalogue, discovery
from keras_regimen.recipes.harness.terminal import listing

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_published_verdicts_are_those_of_the_evidence():
    table = listing.markdown(catalogue.entries())
    published = re.search(r"--markdown -->\n(.*?)\n<!--", README, re.DOTALL)
    assert published, "no verdicts between the marks"
    assert published[1] == table


@pytest.mark.parametrize("name", discovery.shipped())
def test_every_recipe_has_a_current_verdict_on_ten_seeds(name):
    entry = catalogue.entry(discovery.shipped()[name])
    assert not entry.stale
    assert entry.verdict is not None
    assert entry.seeds >= 10


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_python_examples_run(page):
    text = (Path(__file__).parents[1] / page).read_text()
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(example, page, "exec"), {"__name__": "example"})  # noqa: S102
