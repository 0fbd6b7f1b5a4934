import base64
import hashlib

import jinja2
import pytest

from keras_regimen.recipes.harness.report.templates import (
    digest_of,
    fill,
    part,
)


def test_a_value_is_escaped_and_a_missing_one_is_an_error():
    values = {
        "style": part("notebook.css"),
        "recipe": "<script>",
        "summary": "a & b",
        "claims": [],
        "arms": [],
        "conditions": False,
        "figure": None,
    }
    found = fill("notebook.html", **values, failed=[])
    assert "<h3>&lt;script&gt;</h3>" in found
    assert "a &amp; b" in found
    with pytest.raises(jinja2.UndefinedError, match="failed"):
        fill("notebook.html", **values)


def test_a_script_is_called_by_its_digest():
    expected = base64.b64encode(hashlib.sha256(b"go()").digest()).decode()
    assert digest_of("go()") == f"sha256-{expected}"


@pytest.mark.parametrize("name", ["recipe.js", "index.js"])
def test_scripts_do_not_end_their_element(name):
    assert "</script" not in part(name)
    assert part(name) == part(name).strip()
