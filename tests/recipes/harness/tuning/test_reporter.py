import inspect

from keras_regimen.recipes.harness.tuning.reporter import Reporter, Silent


def test_the_silent_one_takes_all_that_is_told():
    told = [n for n, m in vars(Reporter).items() if inspect.isfunction(m)]
    told = [name for name in told if not name.startswith("_")]
    assert told == [
        "planned",
        "expected",
        "started",
        "heard",
        "finished",
        "scored",
    ]
    for name in told:
        asked = inspect.signature(getattr(Reporter, name))
        assert inspect.signature(getattr(Silent, name)) == asked
