from keras_regimen.recipes.harness.report.failures_view import failures_view


def row(seed, error, data="noisy"):
    return {
        "data": data,
        "arm": "deep",
        "seed": seed,
        "error": error,
        "traceback": f"line {seed}",
    }


def test_failures_of_one_reason_stand_together_with_one_traceback():
    rows = [row(0, "too hot"), row(1, "too cold"), row(2, "too hot", data="")]
    hot, cold = failures_view(rows)
    assert hot == {
        "error": "too hot",
        "places": ["noisy / deep / seed 0", "deep / seed 2"],
        "traceback": "line 0",
    }
    assert cold["places"] == ["noisy / deep / seed 1"]


def test_a_failure_without_a_reason_is_told_too():
    (found,) = failures_view([row(0, None)])
    assert found["error"] == "no reason given"
