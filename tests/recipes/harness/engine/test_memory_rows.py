import numpy as np

from keras_regimen.recipes.harness.engine.memory_rows import MemoryRows

X, Y = np.arange(10.0).reshape(5, 2), np.arange(5)


def test_each_epoch_is_drawn_when_its_first_batch_is_asked_for():
    epochs = iter([[[0, 1], [2]], [[4, 3], [1]]])

    def pieces():
        return map(np.array, next(epochs))

    rows = MemoryRows(X, Y)
    batches = rows.dataset(pieces, steps=2)
    assert (len(rows), batches.num_batches) == (5, 2)
    targets = [batches[i][1].tolist() for i in (0, 1, 1, 0, 1)]
    assert targets == [[0, 1], [2], [2], [4, 3], [1]]


def test_inputs_may_be_a_structure_and_weights_come_along():
    rows = MemoryRows({"a": X, "b": (X, -X)}, Y, sample_weight=Y / 10)
    x, y, weight = rows.batch(np.array([3, 1, 3]))
    np.testing.assert_array_equal(x["a"], X[[3, 1, 3]])
    np.testing.assert_array_equal(x["b"][1], -X[[3, 1, 3]])
    np.testing.assert_array_equal(y, [3, 1, 3])
    np.testing.assert_allclose(weight, [0.3, 0.1, 0.3], rtol=1e-6)
    # Keras' own `fit` casts floats, and leaves labels.
    assert (x["a"].dtype, y.dtype.kind) == ("float32", "i")
