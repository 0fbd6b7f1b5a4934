import pytest

from keras_regimen.recipes.harness.engine.edited_code import refuse_edited
from keras_regimen.recipes.harness.refusal import RefusalError


def test_a_file_edited_since_it_was_first_seen_is_refused(tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("A = 1\n")
    other.write_text("B = 1\n")
    refuse_edited([one, other])
    refuse_edited([other])
    other.write_text("B = 2\n")
    refuse_edited([one])
    with pytest.raises(RefusalError, match=r"^this process .* other\.py as it"):
        refuse_edited([one, other])
    # Back to what was imported.
    other.write_text("B = 1\n")
    refuse_edited([one, other])
