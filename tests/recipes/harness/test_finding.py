from keras_regimen.recipes.harness.finding import Finding


def test_a_finding_is_the_documented_object():
    assert Finding("disk", "warning", "full", "make room").to_json() == {
        "check": "disk",
        "state": "warning",
        "what": "full",
        "remedy": "make room",
    }
    assert Finding("disk", "ok", "10 GB free").remedy == ""
