import keras
import pytest

from keras_regimen.custom_layers import StandardDropout
from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import (
    LBFGS,
    AdaptiveGradientClipping,
    GradientNoise,
    Lookahead,
)
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.limits import (
    remarks,
    undivided,
    why_refused,
)

MIRRORED = Computation("mirrored", devices=2)
DATA_PARALLEL = Computation("data_parallel", devices=2)
ON_TENSORFLOW = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="`MirroredStrategy`"
)


def compiled(optimizer="sgd", layers=(), **options):
    model = keras.Sequential(
        [keras.Input((2,)), *layers, keras.layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **options)
    return model


@ON_TENSORFLOW
@pytest.mark.parametrize("computation", [MIRRORED, DATA_PARALLEL])
def test_a_batch_size_that_does_not_divide_is_refused(computation):
    assert "a batch of 15 does not divide by 2 devices" in why_refused(
        compiled(), computation, 15
    )
    assert why_refused(compiled(), computation, 16) is None
    assert why_refused(compiled(), Computation(), 15) is None


@pytest.mark.parametrize("computation", [MIRRORED, DATA_PARALLEL])
def test_a_model_of_full_batches_is_refused(computation):
    model = FullBatchModel(compiled())
    model.compile(LBFGS(), "mse")
    assert "on all rows at once" in why_refused(model, computation, 16)
    assert why_refused(model, Computation(), 16) is None


SGD = keras.optimizers.SGD


@ON_TENSORFLOW
@pytest.mark.parametrize(
    ("optimizer", "word"),
    [
        (lambda: SGD(gradient_accumulation_steps=2), "gradient_accumulation"),
        (lambda: SGD(use_ema=True, ema_overwrite_frequency=3), "ema_overwrite"),
        (lambda: SGD(clipnorm=1.0), "`clipnorm` clips each device's share"),
        (lambda: SGD(global_clipnorm=1.0), "`global_clipnorm` clips"),
        (lambda: SGD(clipvalue=1.0), "`clipvalue` clips"),
        (lambda: Lookahead(SGD(clipnorm=1.0)), "`clipnorm` clips"),
        (lambda: AdaptiveGradientClipping(SGD()), "`AdaptiveGradientClipping`"),
        (lambda: Lookahead(GradientNoise(SGD())), "`GradientNoise` changes"),
    ],
)
def test_what_mirrored_gets_wrong_is_refused_at_any_depth(optimizer, word):
    model = compiled(optimizer())
    assert word in why_refused(model, MIRRORED, 16)
    assert "data_parallel on JAX does it right" in why_refused(
        model, MIRRORED, 16
    )
    assert why_refused(model, DATA_PARALLEL, 16) is None


@ON_TENSORFLOW
def test_optimizers_inside_a_multi_optimizer_are_looked_at():
    rates = keras.optimizers.OptimizerMap(default_optimizer=SGD())
    rates[".*"] = SGD(clipnorm=1.0)
    model = compiled(keras.optimizers.MultiOptimizer(rates))
    assert "`clipnorm`" in why_refused(model, MIRRORED, 16)


@ON_TENSORFLOW
@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 2}, {"jit_compile": True}]
)
def test_what_fails_under_mirrored_is_refused(options):
    (name,) = options
    assert f"`{name}" in why_refused(compiled(**options), MIRRORED, 16)


@ON_TENSORFLOW
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.AdamW(weight_decay=0.1),
        lambda: SGD(momentum=0.9, use_ema=True),
        lambda: keras.optimizers.LossScaleOptimizer(Lookahead(SGD())),
    ],
)
def test_what_equals_one_device_is_not_refused(optimizer):
    assert why_refused(compiled(optimizer()), MIRRORED, 16) is None


def test_remarks_name_what_each_device_does_by_itself():
    layers = keras.layers
    model = compiled(
        layers=[
            layers.BatchNormalization(),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            StandardDropout(0.5),
        ]
    )
    batch_norm, dropout = remarks(model, MIRRORED)
    assert "batch normalization takes each device's own share" in batch_norm
    assert "random layers draw the same on every device" in dropout
    assert remarks(model, DATA_PARALLEL) == remarks(model, Computation()) == []


@ON_TENSORFLOW
def test_synchronized_statistics_and_our_masks_need_no_remark():
    model = compiled(
        layers=[
            keras.layers.BatchNormalization(synchronized=True),
            StandardDropout(0.5),
            keras.layers.Dropout(0.0),
        ]
    )
    assert remarks(model, MIRRORED) == []


@pytest.mark.parametrize(
    ("rows", "batch_size", "devices", "said"),
    [
        (60, 16, 2, ""),  # 12 rows are left.
        (64, 16, 2, ""),
        (61, 16, 2, "13 rows, does not divide by 2 devices"),
        (62, 16, 4, "14 rows, does not divide by 4 devices"),
        (61, 16, None, ""),
    ],
)
def test_a_last_batch_that_does_not_divide_is_said(
    rows, batch_size, devices, said
):
    strategy = devices and "mirrored"
    found = undivided(rows, batch_size, Computation(strategy, devices))
    assert len(found) == bool(said)
    assert said in "".join(found)
    if devices == 4 and said:
        assert "it counts 2 times" in found[0]  # 28 rows divide by four.
