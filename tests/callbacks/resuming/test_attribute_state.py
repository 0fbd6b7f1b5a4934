from collections import deque

import keras
import numpy as np
import pytest

from keras_regimen.callbacks import EarlyStopping, PrecheltStopping
from keras_regimen.callbacks.resuming.attribute_state import AttributeState
from keras_regimen.custom_models import CurriculumDataset


class Anything:
    """What somebody else's callback may hold."""

    def __init__(self):
        self.patience = 3
        self.seen = 0
        self.best = None
        self.curve = deque(maxlen=2)
        self.averages = [np.zeros(2)]
        self.total = keras.Variable([0.0, 0.0])
        self.rng = np.random.default_rng(0)
        self.compare = min
        self.shared = []

    def go_on(self):
        self.seen += 1
        self.best = 0.5
        self.curve.append(float(self.seen))
        self.averages[0] = self.averages[0] + 1
        self.total.assign([1.0, 2.0])
        self.rng.random(self.seen)
        self.compare = max
        self.shared.append("reason")
        self.late = "made in training"


def test_the_state_of_any_object_comes_back():
    trained, fresh = Anything(), Anything()
    state, other = AttributeState([trained]), AttributeState([fresh])
    shared = fresh.shared
    for _ in range(3):
        trained.go_on()
    changed = state.changed()
    other.put_back(changed)
    (_, values), *_ = changed
    assert set(values) == set(vars(trained)) - {"patience", "compare"}
    assert (fresh.seen, fresh.best, fresh.late) == (3, 0.5, "made in training")
    assert fresh.curve == deque([2.0, 3.0], maxlen=2)
    np.testing.assert_array_equal(fresh.averages[0], [3, 3])
    np.testing.assert_array_equal(fresh.total, [1, 2])
    assert fresh.rng.random() == trained.rng.random()
    # Whoever else has the list sees it too.
    assert shared is fresh.shared
    assert shared == ["reason"] * 3


def test_what_was_not_changed_is_the_scripts():
    trained, changed = EarlyStopping(patience=3), EarlyStopping(patience=5)
    state, other = AttributeState([trained]), AttributeState([changed])
    trained.evaluate(0.5)
    other.put_back(state.changed())
    assert (changed.patience, changed.best) == (5, 0.5)


def test_a_criterion_goes_on_amid_a_strip():
    errors = [0.5, 0.4, 0.6, 0.45, 0.7, 0.8, 0.9, 1.0]
    whole = PrecheltStopping("PQ", 0.5, strip=4)
    expected = [whole.evaluate(error, error / 2) for error in errors]
    first, second = (PrecheltStopping("PQ", 0.5, strip=4) for _ in range(2))
    state, other = AttributeState([first]), AttributeState([second])
    found = [first.evaluate(error, error / 2) for error in errors[:6]]
    other.put_back(state.changed())
    found += [second.evaluate(error, error / 2) for error in errors[6:]]
    assert found == expected
    assert found[-1][0]


def test_a_dataset_goes_on_with_its_epoch():
    def make():
        return CurriculumDataset(
            np.arange(8.0)[:, None],
            np.arange(8.0),
            scores=np.arange(8.0),
            pacing=lambda epoch: min(1.0, 0.25 * (epoch + 1)),
            batch_size=2,
            seed=1,
        )

    trained, fresh = make(), make()
    state, other = AttributeState([trained]), AttributeState([fresh])
    for _ in range(2):
        trained.on_epoch_begin()
        for batch in range(trained.num_batches):
            trained[batch]
        trained.on_epoch_end()
    other.put_back(state.changed())
    assert fresh.epoch == trained.epoch == 2
    np.testing.assert_array_equal(fresh.rows, trained.rows)


def test_other_owners_are_refused():
    state = AttributeState([EarlyStopping()])
    with pytest.raises(ValueError, match="PrecheltStopping. Received: Early"):
        state.put_back([["PrecheltStopping", {}]])
