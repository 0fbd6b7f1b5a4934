import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.engine.end_hopeless import EndHopeless


def test_training_ends_at_the_first_hopeless_epoch():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.ones((4, 1), "float32")
    # With a rate of 0 the loss stands; it is above the third median alone.
    loss = float(model.evaluate(x, 2 * x, verbose=0))
    rule = EndHopeless("loss", [2 * loss, 2 * loss, loss / 2, 0.0], "min")
    history = model.fit(x, 2 * x, epochs=4, verbose=0, callbacks=[rule])
    assert history.epoch == [0, 1, 2]
    assert rule.ended["epoch"] == 3
    assert rule.ended["best"] == pytest.approx(loss)
    assert rule.ended["median"] == loss / 2
