import keras
import pytest
from keras import ops

from keras_regimen.custom_optimizers import classify_critical_point


@pytest.mark.parametrize(
    ("function", "point", "kind"),
    [
        (lambda x, y: x**2 + 3 * y**2, (0.0, 0.0), "minimum"),
        (lambda x, y: -(x**2) - 3 * y**2, (0.0, 0.0), "maximum"),
        (lambda x, y: x * y, (0.0, 0.0), "saddle"),
        # The monkey saddle, and a valley: second derivatives cannot tell.
        (lambda x, y: x**3 - 3 * x * y**2, (0.0, 0.0), "degenerate"),
        (lambda x, y: x**2 + 0 * y, (0.0, 0.0), "degenerate"),
        (lambda x, y: x**2 + y**2, (1.0, 0.0), "not critical"),
        # Himmelblau's function at its maximum, a minimum and a saddle.
        (
            lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
            (-0.270845, -0.923039),
            "maximum",
        ),
        (
            lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
            (3.0, 2.0),
            "minimum",
        ),
        (
            lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
            (0.086678, 2.884255),
            "saddle",
        ),
    ],
)
def test_known_points_have_their_kind(function, point, kind):
    w = keras.Variable(point)
    found = classify_critical_point(lambda: function(w[0], w[1]), [w])
    assert found.kind == kind


def test_figures_are_those_of_the_point():
    w = keras.Variable([3.0, 4.0])
    found = classify_critical_point(lambda: ops.sum(w * w) / 2 - w[0] ** 2, [w])
    assert found.gradient_norm == pytest.approx(5.0)
    assert found.smallest == pytest.approx(-1.0)
    assert found.largest == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["gradient_tolerance", "curvature_tolerance"])
def test_a_tolerance_that_is_not_positive_is_refused(name):
    w = keras.Variable([1.0])
    with pytest.raises(ValueError, match=f"`{name}`.*{name}=0"):
        classify_critical_point(lambda: ops.sum(w), [w], **{name: 0})
