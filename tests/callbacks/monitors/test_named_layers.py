import keras
from keras import layers

from keras_regimen.callbacks.monitors.named_layers import named_layers


def test_nested_models_are_taken_apart_and_wrappers_are_not():
    inner = keras.Sequential(
        [layers.Dense(2, name="dense"), layers.ReLU(name="relu")], name="inner"
    )
    wrapper = layers.Bidirectional(layers.LSTM(2), name="both")
    model = keras.Sequential(
        [keras.Input((3, 2)), inner, wrapper, layers.Dense(1, name="head")]
    )
    found = named_layers(model)
    assert list(found) == ["dense", "relu", "both", "head"]
    assert found["dense"] is inner.layers[0]
    assert found["both"] is wrapper


def test_layers_of_one_name_get_that_of_their_model():
    def part(name):
        return keras.Sequential([layers.Dense(2, name="dense")], name=name)

    model = keras.Sequential([part("a"), part("b"), part("c")])
    assert list(named_layers(model)) == ["dense", "b/dense", "c/dense"]
    twins = keras.Sequential(
        [part("a"), keras.Sequential([part("b")]), part("d")], name="m"
    )
    twins.layers[2].name = "b"
    assert list(named_layers(twins)) == ["dense", "b/dense", "b/dense_1"]


def test_a_shared_layer_and_those_of_a_subclass_come_once():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.Dense(2, name="first")
            self.blocks = [self.first, layers.Dense(2, name="second")]

        def call(self, inputs):
            return self.blocks[1](self.first(self.first(inputs)))

    assert list(named_layers(Own())) == ["first", "second"]
