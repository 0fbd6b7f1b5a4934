import gzip

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import prune, pruning_report, strip


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((64,))
    x = layers.Dense(100, "relu", name="hidden")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(10, name="head")(x))


def test_figures_are_those_of_each_weight_and_their_sums(model):
    pruned = prune(model, 0.9)
    report = pruning_report(pruned)
    assert len(report.weights) == len(pruned.weights) == 8
    for size, weight in zip(report.weights, pruned.weights, strict=True):
        values = ops.convert_to_numpy(weight)
        assert size.name == weight.path
        assert (size.numbers, size.zeros) == (values.size, (values == 0).sum())
        assert size.dense_bytes == 4 * values.size
        assert len(gzip.decompress(gzip.compress(values.tobytes()))) == (
            size.dense_bytes
        )
        assert abs(size.gzip_bytes - len(gzip.compress(values.tobytes()))) < 9
    assert report.kernels.numbers == 64 * 100 + 100 * 10
    assert report.kernels.sparsity == pytest.approx(0.9, abs=1e-4)
    assert report.whole.numbers == pruned.count_params()
    assert report.whole.gzip_bytes == sum(s.gzip_bytes for s in report.weights)


def test_only_zeros_compress(model):
    dense, pruned = pruning_report(model), pruning_report(prune(model, 0.9))
    assert dense.kernels.gzip_bytes > 0.85 * dense.kernels.dense_bytes
    # A tenth of the bytes, and where they lie.
    assert pruned.kernels.gzip_bytes < 0.2 * dense.kernels.gzip_bytes
    assert pruning_report(strip(prune(model, 0.9))) == pruned


def test_table_has_a_line_for_each_weight_and_two_sums(model):
    lines = str(pruning_report(prune(model, 0.5))).splitlines()
    assert len(lines) == 1 + 8 + 2
    assert lines[-2].split()[:3] == ["kernels", "7400", "50.0%"]
    assert lines[-1].split()[0] == "whole"


def test_model_without_kernels_is_refused():
    norm = keras.Sequential([keras.Input((2,)), layers.BatchNormalization()])
    with pytest.raises(ValueError, match="have kernels"):
        pruning_report(norm)
    assert np.size(norm.weights[0]) == 2
