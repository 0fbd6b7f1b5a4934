import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_models import CurriculumDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")
SCORES = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
# By hand: equal scores in the order of the data.
EASIEST_FIRST = [1, 3, 6, 0, 9, 2, 4, 8, 7, 5]


def growing(epoch):
    return min(1.0, 0.3 + 0.2 * epoch)


def curriculum(pacing=growing, scores=SCORES, **options):
    return CurriculumDataset(
        X, Y, scores, pacing, **{"batch_size": 4, "seed": 0, **options}
    )


def net():
    kernel = keras.initializers.GlorotUniform(seed=1)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1, kernel_initializer=kernel)]
    )
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def weights(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


class Seen(keras.callbacks.Callback):
    """What the dataset's epoch is when the callbacks of one end."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset = dataset
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self.dataset.epoch)


# What an epoch draws.


@pytest.mark.parametrize(
    ("epoch", "easiest"), [(0, 3), (1, 5), (3, 9), (9, 10)]
)
def test_an_epoch_draws_from_the_easiest_share_alone(epoch, easiest):
    dataset = curriculum()
    dataset.epoch = epoch
    drawn = dataset.rows.tolist()
    assert len(drawn) == 10
    assert set(drawn) == set(EASIEST_FIRST[:easiest])
    # Each of them equally often, but for the pass that is cut short.
    counts = np.bincount(drawn, minlength=10)[EASIEST_FIRST[:easiest]]
    assert set(counts) <= {10 // easiest, -(-10 // easiest)}
    for start in range(0, 10 - easiest + 1, easiest):
        one_pass = drawn[start : start + easiest]
        assert set(one_pass) == set(EASIEST_FIRST[:easiest])


def test_batches_are_the_rows_in_their_order():
    sample_weight = np.arange(10.0)
    dataset = curriculum(sample_weight=sample_weight)
    batches = list(dataset)
    assert [len(x) for x, _, _ in batches] == [4, 4, 2]
    for part, whole in zip(
        zip(*batches, strict=True), (X, Y, sample_weight), strict=True
    ):
        np.testing.assert_array_equal(np.concatenate(part), whole[dataset.rows])


def test_structures_of_arrays_stay_so():
    dataset = CurriculumDataset(
        {"a": X, "b": ops.convert_to_tensor(Y)},
        [X, Y],
        SCORES,
        growing,
        batch_size=4,
        seed=0,
    )
    inputs, (first, second) = dataset[1]
    rows = dataset.rows[4:8]
    np.testing.assert_array_equal(inputs["b"], Y[rows])
    np.testing.assert_array_equal(first, inputs["a"])
    np.testing.assert_array_equal(second, Y[rows])
    (alone,) = CurriculumDataset(X, None, SCORES, growing, 4, seed=0)[1]
    np.testing.assert_array_equal(alone, X[rows])


def test_orders_differ_by_epoch_and_by_seed_and_repeat():
    def rows(seed, epoch):
        dataset = curriculum(lambda epoch: 1.0, seed=seed)
        dataset.epoch = epoch
        return tuple(dataset.rows)

    orders = {rows(seed, epoch) for seed in (0, 1) for epoch in range(5)}
    assert len(orders) == 10
    assert rows(1, 3) in orders
    unseeded = curriculum(seed=None)
    again = curriculum(seed=unseeded.seed)
    np.testing.assert_array_equal(unseeded.rows, again.rows)


def test_negated_scores_start_with_the_most_difficult():
    dataset = curriculum(scores=-SCORES)
    # Of the two with a score of 5 the first.
    assert set(dataset.rows) == {5, 7, 4}


def test_a_share_is_rounded_up_but_not_for_its_last_digit():
    assert len(set(curriculum(lambda e: 3 * 0.1).rows)) == 3
    assert len(set(curriculum(lambda e: 0.61).rows)) == 7
    assert len(set(curriculum(lambda e: 1e-9).rows)) == 1


# In `fit`.


def by_hand(epochs):
    """Trains on the batches of each epoch, one by one."""
    dataset, model = curriculum(), net()
    for epoch in epochs:
        dataset.epoch = epoch
        for x, y in dataset:
            model.train_on_batch(x, y)
    return weights(model)


def test_fit_paces_itself_with_validation_and_counts_whole_epochs():
    dataset, model = curriculum(), net()
    seen = Seen(dataset)
    model.fit(
        dataset,
        epochs=3,
        shuffle=False,
        validation_data=(X, Y),
        callbacks=[seen],
        verbose=0,
    )
    assert seen.epochs == [1, 2, 3]
    for found, expected in zip(weights(model), by_hand([0, 1, 2]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_resumed_run_equals_an_undisturbed_one():
    # The third epoch is broken off in its middle.
    model, dataset = net(), curriculum()
    broken = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(
            model, "stop_training", dataset.epoch == 2 and batch == 1
        )
    )
    model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    state = (
        weights(model),
        [np.array(ops.convert_to_numpy(v)) for v in model.optimizer.variables],
    )
    model.fit(
        dataset,
        epochs=4,
        initial_epoch=2,
        shuffle=False,
        callbacks=[broken],
        verbose=0,
    )
    model.set_weights(state[0])
    for variable, value in zip(
        model.optimizer.variables, state[1], strict=True
    ):
        variable.assign(value)

    dataset = curriculum()
    dataset.epoch = 2
    model.fit(dataset, epochs=4, initial_epoch=2, shuffle=False, verbose=0)
    whole = net()
    whole.fit(curriculum(), epochs=4, shuffle=False, verbose=0)
    assert dataset.epoch == 4
    for found, expected in zip(weights(model), weights(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_an_epoch_that_was_begun_for_a_look_or_broken_off_does_not_count():
    dataset = curriculum()
    dataset.on_epoch_end()  # Before the first one, as `fit` does.
    dataset.on_epoch_begin()
    dataset[0]
    dataset.on_epoch_end()
    assert dataset.epoch == 0
    dataset.on_epoch_begin()
    for index in (2, 0, 1):
        dataset[index]
    dataset.on_epoch_end()
    dataset.on_epoch_end()
    assert dataset.epoch == 1


def test_the_epoch_after_the_last_is_never_asked_for():
    shares = [0.3, 1.0]
    dataset = curriculum(shares.__getitem__)
    for _ in range(2):
        dataset.on_epoch_begin()
        list(dataset)
        dataset.on_epoch_end()
    dataset[0]  # By a thread that reads ahead.
    assert dataset.epoch == 2


def test_a_share_of_1_is_plain_training_on_the_rows():
    dataset, model = curriculum(lambda epoch: 1.0), net()
    rows = dataset.rows
    assert sorted(rows) == list(range(10))
    model.fit(dataset, shuffle=False, verbose=0)
    plain = net()
    plain.fit(X[rows], Y[rows], batch_size=4, shuffle=False, verbose=0)
    for found, expected in zip(weights(model), weights(plain), strict=True):
        np.testing.assert_array_equal(found, expected)


# Refusals.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1.0, np.nan] * 5}, "none of them NaN"),
        ({"scores": np.ones((10, 1))}, r"of shape \(10, 1\)"),
        ({"scores": ["easy"] * 10}, "one number per sample"),
        ({"scores": np.arange(9)}, "9 scores and arrays of 10 samples"),
        ({"sample_weight": np.ones(8)}, "arrays of 8 and 10 samples"),
        ({"pacing": 0.5}, "pacing=0.5"),
        ({"batch_size": 0}, "less than the 10 samples.*batch_size=0"),
        ({"batch_size": 10}, "batch_size=10"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": True}, "seed=True"),
    ],
)
def test_bad_arguments_say_what_was_received(change, message):
    with pytest.raises(ValueError, match=message):
        curriculum(**change)


@pytest.mark.parametrize("share", [0, 1.01, float("nan"), -0.5])
def test_no_share_is_refused_when_its_epoch_begins(share):
    dataset = curriculum(lambda epoch: [0.5, share][epoch])
    dataset.epoch = 1
    with pytest.raises(ValueError, match=rf"{share} for epoch 1"):
        dataset.on_epoch_begin()


@pytest.mark.parametrize("epoch", [-1, 1.5])
def test_no_epoch_is_refused(epoch):
    dataset = curriculum()
    with pytest.raises(ValueError, match=f"epoch={epoch}"):
        dataset.epoch = epoch
