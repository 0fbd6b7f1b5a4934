import json
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import BaggingEnsemble, fit_in_memory

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3)).astype("float32")
CLASSES = (X[:, 0] + 0.5 * RNG.normal(size=30) > 0) + (X[:, 1] > 0).astype(int)
CELLS = np.eye(3, dtype="float32")[RNG.integers(0, 3, 60)]
LABELS = (CELLS.argmax(axis=1) + (RNG.random(60) < 0.4)) % 3


@keras.saving.register_keras_serializable(package="test_bagging_ensemble")
class Solved(keras.Model):
    """A linear model that `fit` solves: what no updates cost."""

    def __init__(self, units=1, **options):
        super().__init__(**options)
        self.units = units
        self.dense = layers.Dense(units, use_bias=False)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)

    def fit(self, x, y, sample_weight=None, **ignored):
        roots = np.sqrt(
            np.ones(len(x)) if sample_weight is None else sample_weight
        )
        y = np.eye(self.units)[y] if y.ndim == 1 else y
        kernel = np.linalg.lstsq(
            x * roots[:, None], y * roots[:, None], rcond=None
        )[0]
        self.set_weights([kernel])
        history = keras.callbacks.History()
        history.history = {"rows": [len(x)]}
        return history

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def linear(seed):
    model = Solved()
    model.compile("sgd", "mse")
    return model


def frequencies(seed):
    """On one-hot cells, least squares are the classes' shares in a cell."""
    model = Solved(3)
    model.compile("sgd", "mse")
    return model


def net(seed):
    def kernel(offset):
        return keras.initializers.GlorotUniform(seed=seed + offset)

    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="tanh", kernel_initializer=kernel(0)),
            layers.BatchNormalization(),
            layers.Dense(3, "softmax", kernel_initializer=kernel(1)),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    return model


def in_another_process(function, jobs):
    """What `ProcessPoolExecutor.map` does to jobs and results."""

    def sent(thing):
        return pickle.loads(pickle.dumps(thing))  # noqa: S301

    return [sent(sent(function)(sent(job))) for job in jobs]


OPTIONS = {"epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def trained():
    ensemble = BaggingEnsemble(net, 2, seed=3)
    ensemble.histories = ensemble.fit(X, CLASSES, **OPTIONS)
    return ensemble


@pytest.fixture(scope="module")
def solved():
    """Linear regressions with weighted samples, and their kernels by hand."""
    y = X @ [[1.0], [2.0], [0.0]] + RNG.normal(size=(30, 1))
    weights = RNG.uniform(0.5, 2, 30)
    ensemble = BaggingEnsemble(linear, 5, target="real", seed=1)
    ensemble.fit(X, y, weights)
    kernels = [
        np.linalg.lstsq(
            X[bag] * np.sqrt(weights[bag, None]),
            y[bag] * np.sqrt(weights[bag, None]),
            rcond=None,
        )[0]
        for bag in ensemble.bags
    ]
    return ensemble, kernels, y, weights


# Bags.


def test_bags_are_drawn_with_replacement_and_leave_a_share_of_1_over_e_out():
    ensemble = BaggingEnsemble(linear, 20, target="real", seed=0)
    x = RNG.normal(size=(400, 2))
    ensemble.fit(x, x[:, :1])
    out = [1 - len(set(bag)) / 400 for bag in ensemble.bags]
    # One sigma of a share is sqrt(0.0972 / 400) = 0.0156, of 20: 0.0035.
    assert abs(np.mean(out) - (1 - 1 / 400) ** 400) < 4 * 0.0035
    assert len({tuple(bag) for bag in ensemble.bags}) == 20
    # Each row is as likely as another; one sigma of a mean count is 0.22.
    counts = sum(np.bincount(bag, minlength=400) for bag in ensemble.bags)
    assert np.abs(counts / 20 - 1).max() < 5 * 0.22


def test_seed_decides_the_bags():
    def bags(seed):
        ensemble = BaggingEnsemble(linear, 2, target="real", seed=seed)
        ensemble.fit(X, X[:, :1])
        return np.array(ensemble.bags), ensemble.seed

    first, seed = bags(None)
    np.testing.assert_array_equal(first, bags(seed)[0])
    assert np.any(first != bags(seed + 1)[0])


def test_without_bootstrap_all_members_see_all_rows():
    ensemble = BaggingEnsemble(
        linear, 2, bootstrap=False, target="real", seed=0
    )
    ensemble.fit(X, X[:, :1])
    for bag in ensemble.bags:
        np.testing.assert_array_equal(bag, np.arange(30))
    assert ensemble.oob_predictions is None
    assert ensemble.oob_score is None
    np.testing.assert_allclose(*ensemble.predict_each(X), rtol=1e-5)


# Votes and out-of-bag score, by hand and by scikit-learn.


def test_regression_is_the_mean_of_solutions_by_hand(solved):
    ensemble, kernels, _, _ = solved
    new = RNG.normal(size=(7, 3)).astype("float32")
    expected = np.mean([new @ kernel for kernel in kernels], axis=0)
    np.testing.assert_allclose(
        ensemble.predict(new, batch_size=2), expected, rtol=1e-4
    )


def test_out_of_bag_score_of_a_regression_by_hand(solved):
    ensemble, kernels, y, weights = solved
    expected = np.full((30, 1), np.nan)
    for row in range(30):
        votes = [
            X[row] @ kernel
            for kernel, bag in zip(kernels, ensemble.bags, strict=True)
            if row not in bag
        ]
        if votes:
            expected[row] = np.mean(votes)
    np.testing.assert_allclose(ensemble.oob_predictions, expected, rtol=1e-4)
    seen = ~np.isnan(expected[:, 0])
    assert 0.8 < seen.mean() < 1  # (1 - 1/e)^5 = 0.1 are in every bag.
    y, found, weights = y[seen, 0], expected[seen, 0], weights[seen]
    mean = np.sum(weights * y) / np.sum(weights)
    score = 1 - np.sum(weights * (y - found) ** 2) / np.sum(
        weights * (y - mean) ** 2
    )
    assert ensemble.oob_score == pytest.approx(score, rel=1e-4)


def test_votes_and_out_of_bag_score_are_those_of_scikit_learn(monkeypatch):
    tree_ensemble = pytest.importorskip("sklearn.ensemble")
    peer = tree_ensemble.BaggingClassifier(
        n_estimators=15, oob_score=True, random_state=0
    ).fit(CELLS, LABELS)
    bags = list(peer.estimators_samples_)
    monkeypatch.setattr(
        BaggingEnsemble, "_bag", lambda self, seed, rows: bags.pop(0)
    )
    ensemble = BaggingEnsemble(frequencies, 15, seed=0)
    ensemble.fit(CELLS, LABELS)
    np.testing.assert_allclose(
        ensemble.predict(CELLS), peer.predict_proba(CELLS), atol=1e-5
    )
    np.testing.assert_allclose(
        ensemble.oob_predictions, peer.oob_decision_function_, atol=1e-5
    )
    assert ensemble.oob_score == pytest.approx(peer.oob_score_)
    shares = np.mean(
        [
            np.eye(3)[tree.predict(CELLS).astype(int)]
            for tree in peer.estimators_
        ],
        axis=0,
    )
    np.testing.assert_allclose(
        ensemble.predict(CELLS, vote="hard"), shares, atol=1e-6
    )


def test_labels_may_be_one_hot():
    scores = []
    for labels in (LABELS, np.eye(3)[LABELS]):
        ensemble = BaggingEnsemble(frequencies, 2, seed=0)
        ensemble.fit(CELLS, labels)
        scores.append(ensemble.oob_score)
    assert scores[0] == scores[1] > 0.4


def test_a_class_that_a_bag_misses_keeps_its_column(monkeypatch):
    without = np.resize(np.flatnonzero(LABELS != 2), 60)
    bags = [without, np.arange(60)]
    monkeypatch.setattr(
        BaggingEnsemble, "_bag", lambda self, seed, rows: bags.pop(0)
    )
    ensemble = BaggingEnsemble(frequencies, 2, seed=0)
    ensemble.fit(CELLS, LABELS)
    one, two = ensemble.predict_each(CELLS)
    np.testing.assert_allclose(one[:, 2], 0, atol=1e-6)
    assert two[:, 2].max() > 0.3
    np.testing.assert_allclose(
        ensemble.predict(CELLS)[:, 2], two[:, 2] / 2, atol=1e-6
    )
    # Only the first member has rows that it did not see: all of class 2.
    seen = ~np.isnan(ensemble.oob_predictions[:, 0])
    np.testing.assert_array_equal(seen, LABELS == 2)
    assert ensemble.oob_score == 0


def test_binary_votes_by_hand(monkeypatch):
    outputs = np.array([[[0.4], [0.9]], [[0.7], [0.6]], [[0.1], [0.2]]])
    ensemble = BaggingEnsemble(linear, 3, target="binary", seed=0)
    monkeypatch.setattr(ensemble, "predict_each", lambda x, batch_size: outputs)
    np.testing.assert_allclose(ensemble.predict(X), [[0.4], [1.7 / 3]])
    np.testing.assert_allclose(
        ensemble.predict(X, vote="hard"), [[1 / 3], [2 / 3]]
    )


# Members.


def test_a_member_is_a_model_trained_on_its_bag_to_the_bit(trained):
    seed = int(np.random.SeedSequence(3).generate_state(2)[1] >> 1)
    model = net(seed)
    bag = np.random.default_rng(seed).integers(0, 30, 30)
    np.testing.assert_array_equal(trained.bags[1], bag)
    order = np.random.default_rng([seed, 1])
    arguments = {"shuffle": order, "verbose": 0, **OPTIONS}
    with (
        pytest.warns(UserWarning, match="plain")
        if (keras.config.backend() == "torch")
        else _nothing()
    ):
        history = fit_in_memory(model, X[bag], CLASSES[bag], **arguments)
    for found, expected in zip(
        trained.members[1].get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert trained.histories[1] == history.history
    one, two = trained.predict_each(X)
    assert np.abs(one - two).max() > 0.01
    np.testing.assert_allclose(two, ops.convert_to_numpy(model(X)), rtol=1e-5)


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_members_are_the_same_through_another_map(kind, trained):
    with ThreadPoolExecutor(2) as threads:
        other = BaggingEnsemble(
            net,
            2,
            seed=3,
            map=threads.map if kind == "threads" else in_another_process,
        )
        other.fit(X, CLASSES, **OPTIONS)
    np.testing.assert_array_equal(
        other.predict_each(X), trained.predict_each(X)
    )
    np.testing.assert_array_equal(
        other.oob_predictions, trained.oob_predictions
    )


# As one model, and as a file.


def test_the_model_of_all_members_predicts_the_same(trained):
    model = trained.to_model()
    assert model.input_shape == (None, 3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(X)), trained.predict(X), rtol=1e-5
    )


def test_inputs_may_be_structures_and_an_ensemble_may_have_one_member():
    def build(seed):
        first = keras.Input((3,), name="a")
        second = keras.Input((1,), dtype="int32", name="b")
        cast = ops.cast(second, "float32")
        outputs = layers.Dense(1)(layers.Concatenate()([first, cast]))
        model = keras.Model({"a": first, "b": second}, outputs)
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    x = {"a": X, "b": CLASSES[:, None].astype("int32")}
    ensemble = BaggingEnsemble(build, 1, target="real", seed=0)
    ensemble.fit(x, X[:, :1], batch_size=30)
    model = ensemble.to_model()
    assert keras.backend.standardize_dtype(model.input["b"].dtype) == "int32"
    expected = ops.convert_to_numpy(ensemble.members[0](x))
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(x)), expected, rtol=1e-6
    )
    np.testing.assert_allclose(ensemble.predict(x), expected, rtol=1e-6)


def test_a_file_holds_the_ensemble_and_is_a_keras_model(trained, tmp_path):
    path = tmp_path / "bag.keras"
    trained.save(path)
    loaded = BaggingEnsemble.load(path)
    for vote in ("soft", "hard"):
        np.testing.assert_array_equal(
            loaded.predict(X, vote), trained.predict(X, vote)
        )
    assert loaded.oob_score == trained.oob_score
    assert (loaded.seed, loaded.target) == (3, "classes")
    plain = keras.saving.load_model(path)
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain(X)), trained.predict(X), rtol=1e-5
    )
    loaded.save(tmp_path / "again.keras")
    again = BaggingEnsemble.load(tmp_path / "again.keras", build=net)
    np.testing.assert_array_equal(again.predict(X), trained.predict(X))
    assert again.build is net
    with pytest.raises(ValueError, match="loaded without `build`"):
        loaded.fit(X, CLASSES)


def test_another_keras_file_is_refused(trained, tmp_path):
    path = tmp_path / "model.keras"
    trained.to_model().save(path)
    with pytest.raises(ValueError, match="model.keras"):
        BaggingEnsemble.load(path)
    trained.save(path)
    with zipfile.ZipFile(path) as archive:
        settings = json.loads(archive.read("bagging_ensemble.json"))
    assert settings["num_members"] == 2


# Refusals.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"build": 3}, "build=3"),
        ({"map": [1]}, r"map=\[1\]"),
        ({"num_members": 0}, "num_members=0"),
        ({"num_members": 2.0}, "num_members=2.0"),
        ({"bootstrap": 1}, "bootstrap=1"),
        ({"target": "labels"}, "classes, binary, real.*target=labels"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments_say_what_was_received(options, message):
    with pytest.raises(ValueError, match=message):
        BaggingEnsemble(**{"build": net, **options})


def uncompiled(seed):
    return keras.Sequential([keras.Input((3,)), layers.Dense(1)])


def two_outputs(seed):
    inputs = keras.Input((3,))
    outputs = [layers.Dense(1)(inputs), layers.Dense(1)(inputs)]
    model = keras.Model(inputs, outputs)
    model.fit = lambda **arguments: keras.callbacks.History()
    model.compile("sgd", ["mse", "mse"])
    return model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"build": uncompiled}, "compiled `keras.Model`. Received: <Seq"),
        ({"build": two_outputs}, "one output. Received: 2"),
        (
            {"build": linear, "target": "classes"},
            "end the model with a softmax",
        ),
        ({"build": linear, "target": "binary"}, "end the model with a sigmoid"),
        ({"build": linear, "map": lambda f, jobs: []}, "0 for 2 jobs"),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(options, message):
    ensemble = BaggingEnsemble(
        **{"num_members": 2, "target": "real", "seed": 0, **options}
    )
    with pytest.raises(ValueError, match=message):
        ensemble.fit(X, 5 * X[:, :1])


def test_what_cannot_vote_is_refused(solved):
    with pytest.raises(ValueError, match="call `fit`"):
        BaggingEnsemble(net).predict(X)
    with pytest.raises(ValueError, match="call `fit`"):
        BaggingEnsemble(net).to_model()
    with pytest.raises(ValueError, match="vote=loud"):
        solved[0].predict(X, vote="loud")
    with pytest.raises(ValueError, match="targets are real"):
        solved[0].predict(X, vote="hard")
    with pytest.raises(ValueError, match=r"Received: \[29, 30\]"):
        BaggingEnsemble(net).fit(X, CLASSES[:29])
