from keras_regimen.custom_optimizers.curvature import (
    GradientReport,
    WeightCheck,
)


def test_what_is_printed_says_what_is_wrong_and_where():
    report = GradientReport(
        (
            WeightCheck("dense/kernel", True, 8, 1, "a direction", 0.5, 0.5),
            WeightCheck("bias", False, 5, 0, (2,), 1.0, -1.0),
        )
    )
    assert not report.passed
    assert report.wrong == ["bias"]
    assert str(report).splitlines() == [
        "ok    dense/kernel  7 of 8 decided; a direction: gradient 0.5, "
        "differences 0.5",
        "WRONG bias          5 of 5 decided; (2,): gradient 1, differences -1",
    ]
