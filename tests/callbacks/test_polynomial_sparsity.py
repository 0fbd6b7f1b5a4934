import pytest

from keras_regimen.callbacks import PolynomialSparsity


def test_follows_the_papers_equation():
    # s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3 with s_i = 0.2, s_f = 0.9,
    # t_0 = 10, n = 4, dt = 5, by hand.
    schedule = PolynomialSparsity(0.9, 10, 30, frequency=5, initial=0.2)
    found = [schedule(count) for count in (10, 15, 20, 25, 30)]
    by_hand = [
        0.2,
        0.9 - 0.7 * 27 / 64,
        0.9 - 0.7 / 8,
        0.9 - 0.7 / 64,
        0.9,
    ]
    assert found == pytest.approx(by_hand, abs=1e-12)


def test_stays_between_prunings_and_outside_of_its_range():
    schedule = PolynomialSparsity(0.9, 10, 30, frequency=5, initial=0.2)
    assert [schedule(count) for count in (0, 9)] == [0, 0]
    assert schedule(14) == schedule(10)
    assert schedule(29) == schedule(25) < schedule(30) == schedule(999)


def test_power_of_one_is_a_straight_line():
    schedule = PolynomialSparsity(0.8, 0, 4, power=1)
    found = [schedule(count) for count in range(5)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_a_frequency_that_does_not_divide_ends_in_time():
    schedule = PolynomialSparsity(0.5, 0, 5, frequency=3)
    assert schedule(4) == schedule(3) == pytest.approx(0.5 * (1 - 0.4**3))
    assert schedule(5) == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"final": 1}, "final=1"),
        ({"final": float("nan")}, "final=nan"),
        ({"begin": -1}, "begin=-1"),
        ({"begin": 4}, "end=4"),
        ({"frequency": 0}, "frequency=0"),
        ({"initial": 0.6}, "initial=0.6, final=0.5"),
        ({"power": 0}, "power=0"),
    ],
)
def test_bad_arguments_say_what_was_received(change, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        PolynomialSparsity(**{"final": 0.5, "begin": 0, "end": 4, **change})
