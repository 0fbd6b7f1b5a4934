import keras
import numpy as np
import pytest

from keras_regimen.callbacks.stopping.stopping_callback import (
    StoppingCallback,
)


class StopsAfterTwo(StoppingCallback):
    """Takes the lowest loss for the best, and ends with the third epoch."""

    def _judge(self, epoch, logs):
        loss = logs[self.monitor]
        if self.best is None or loss < self.best:
            self.best = loss
        return epoch == 2, "two were enough"


def fed(callback, losses):
    """Feeds epochs whose weights are their number; returns the weights."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    callback.set_model(model)
    callback.set_params({})
    model.stop_training = False
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        callback.on_epoch_end(epoch, {"loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return float(model.get_weights()[0][0, 0])


@pytest.mark.parametrize(("restore", "weight"), [("weights", 1), (None, 2)])
def test_the_best_epoch_is_handed_over_if_asked(restore, weight):
    callback = StopsAfterTwo("loss", restore, verbose=0)
    assert fed(callback, [0.5, 0.2, 0.4, 0.1]) == weight
    assert (callback.best_epoch, callback.stopped_epoch) == (1, 2)
    assert callback.params["stop_reason"] == "two were enough"


def test_another_training_starts_from_nothing():
    callback = StopsAfterTwo("loss", "weights", verbose=0)
    fed(callback, [0.1, 0.2, 0.3])
    assert fed(callback, [0.9, 0.8]) == 1
    assert (callback.best, callback.reason) == (0.8, None)
