import functools
import math

import keras
import keras_tuner
import numpy as np
import pytest

from keras_regimen.recipes.harness.evidence.evidence import Evidence
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning import search, search_named
from keras_regimen.recipes.harness.tuning.reporter import Silent

own_search = functools.partial(search, workers=0)


class Listening(Silent):
    def __init__(self):
        self.news = []

    def heard(self, execution, news):
        self.news.append(news)


class Bowl(keras_tuner.HyperModel):
    """As one is written for KerasTuner: its own `fit`, a score returned."""

    def build(self, hp):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Float("rate", 0.0, 1.0)), "mse")
        return model

    def fit(self, hp, model, *args, **kwargs):
        kwargs["epochs"] = 1
        model.fit(*args, batch_size=hp.Choice("size", [2, 4]), **kwargs)
        return (hp.get("rate") - 0.3) ** 2 + hp.get("size")


@pytest.fixture(scope="module")
def rows_of_y():
    x = np.linspace(0, 1, 10)[:, None]
    return x, 2 * x


def test_a_hypermodel_of_keras_tuner_is_searched_unchanged(rows_of_y, tmp_path):
    told = Listening()
    found = own_search(
        *(Bowl(), rows_of_y),
        out=tmp_path,
        trials=3,
        rerun=1,
        reporter=told,
    )
    # It trains one epoch of its own accord, and its score comes at the end.
    assert [(n.epoch, n.epochs) for n in told.news] == [(0, None), (1, 1)] * 4
    assert all(math.isnan(news.score) for news in told.news)
    for execution in found.executions:
        values = execution["hyperparameters"]
        score = (values["rate"] - 0.3) ** 2 + values["size"]
        assert execution["score"] == pytest.approx(score)
    best = min(found.executions, key=lambda e: e["score"])
    assert found.best["model"]["hyperparameters"] == best["hyperparameters"]
    assert found.best["model"]["rerun"] == pytest.approx(best["score"])

    # KerasTuner itself reads the same score from the same `fit`.
    class WithoutTensorBoard(keras_tuner.RandomSearch):
        def _configure_tensorboard_dir(self, *arguments):
            """TensorFlow no longer brings it, and every trial would fail."""

    fixed = keras_tuner.HyperParameters()
    for name, value in found.best_hyperparameters.values.items():
        fixed.Fixed(name, value)
    tuner = WithoutTensorBoard(
        Bowl(),
        max_trials=1,
        hyperparameters=fixed,
        tune_new_entries=False,
        directory=tmp_path,
    )
    tuner.search(*rows_of_y, verbose=0)
    (trial,) = tuner.oracle.get_best_trials()
    assert trial.score == pytest.approx(best["score"])


def test_the_same_call_on_the_same_rows_runs_nothing_again(rows_of_y, tmp_path):
    def build(hp):
        return Bowl().build(hp)

    def run(data, **options):
        own_search(
            build, data, out=tmp_path, trials=2, rerun=0, epochs=1, **options
        )
        return len(Evidence(tmp_path / "build.search.jsonl").read("cell")[0])

    x, y = rows_of_y
    assert run((x, y)) == 2
    assert run((x, y)) == 2
    assert run((x, y + 1)) == 4  # Other data.
    assert run((x, y), batch_size=5) == 6  # Other arguments.


def test_arrays_are_not_sent_to_a_cluster(rows_of_y, tmp_path):
    with pytest.raises(RefusalError, match="arrays are not sent"):
        search(Bowl(), rows_of_y, out=tmp_path, cluster="tcp://nowhere:1")


@pytest.mark.parametrize("options", [{"trials": 0}, {"tuner": "magic"}])
def test_a_bad_request_is_refused_before_anything_starts(options, tmp_path):
    with pytest.raises(RefusalError, match="must be"):
        search_named("nowhere:Mine", "digits", out=tmp_path, **options)


def test_the_journal_says_how_the_search_was_called(rows_of_y, tmp_path):
    found = own_search(
        Bowl(), rows_of_y, out=tmp_path, trials=1, rerun=0, epochs=1
    )
    (asked,), _ = Evidence(tmp_path / "bowl.search.jsonl").read("trial")
    assert found.journals == [asked["search"]]
    assert asked["about"]["called"] == {"epochs": 1}
    assert "epochs=1" in found.to_html()
