"""What every layer keeps, checked for each entry of one table.

A new layer is added by one line in `LAYERS`. Run as a script, this file is
the second process that some of its own tests ask for.
"""

import dataclasses
import inspect
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import (
    AnnealedGaussianNoise,
    BatchNormLSTM,
    BatchRenormalization,
    ConcatenatedReLU,
    ConcreteDropout,
    DropBlock1D,
    DropBlock2D,
    DropConnect,
    FilterResponseNormalization,
    GhostBatchNormalization,
    Maxout,
    MeanOnlyBatchNormalization,
    MonteCarloDropout,
    RandomizedReLU,
    ScheduledDropout,
    SpectralNormalization,
    SquaredReLU,
    StandardDropout,
    StochasticDepth,
    ThresholdedLinearUnit,
    TiedConv2DTranspose,
    TiedDense,
    UnbiasedBatchNormalization,
    VariationalDropout,
    WeightNoise,
    WeightNormalization,
    WeightStandardization,
    ZoneoutLSTM,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, and the shape of one sample that it takes."""

    make: Callable[[], keras.layers.Layer]
    shape: tuple[int, ...] = (6, 3)
    features: int = 3  # Of the outputs.
    drift: float = 0  # How far sums take half floats, in their steps.
    # Arguments that differ where half floats are compared with float32.
    half: dict = dataclasses.field(default_factory=dict)


def dense():
    """Returns a layer to wrap, with the same kernel each time."""
    seeded = keras.initializers.GlorotUniform(seed=1)
    return keras.layers.Dense(3, kernel_initializer=seeded)


def convolution():
    """Returns another one, for samples with two axes of positions."""
    seeded = keras.initializers.GlorotUniform(seed=1)
    return keras.layers.Conv2D(3, 2, padding="same", kernel_initializer=seeded)


def built(layer, *shape):
    """Returns the layer with its weights, to tie another one to."""
    layer.build((None, *shape))
    return layer


def lstm():
    """Returns the arguments of a recurrent layer, with the same kernels."""
    glorot = keras.initializers.GlorotUniform
    return {
        "units": 3,
        "return_sequences": True,
        "kernel_initializer": glorot(seed=1),
        "recurrent_initializer": glorot(seed=2),
        "dropout": 0.2,  # Keras' own: it draws other masks in half floats.
        "seed": 1,
    }


LAYERS = {
    "AnnealedGaussianNoise": Case(lambda: AnnealedGaussianNoise(0.4, seed=1)),
    "AnnealedGaussianNoise-relative": Case(
        lambda: AnnealedGaussianNoise(0.4, relative=True, seed=1)
    ),
    "BatchNormLSTM": Case(
        lambda: BatchNormLSTM(max_length=6, momentum=0.5, **lstm()),
        half={"dropout": 0},
        drift=4,
    ),
    "BatchRenormalization": Case(
        lambda: BatchRenormalization(
            momentum=0.5, ramp_start=0, r_ramp_end=2, d_ramp_end=2
        )
    ),
    "ConcatenatedReLU": Case(ConcatenatedReLU, features=6),
    "ConcreteDropout": Case(lambda: ConcreteDropout(dense(), 10, seed=1)),
    "DropBlock1D": Case(lambda: DropBlock1D(0.4, block_size=2, seed=1)),
    "DropBlock2D": Case(
        lambda: DropBlock2D(0.4, block_size=2, seed=1), shape=(5, 4, 3)
    ),
    "DropConnect": Case(lambda: DropConnect(dense(), 0.4, seed=1)),
    "FilterResponseNormalization": Case(
        lambda: FilterResponseNormalization(learned_epsilon=True)
    ),
    "GhostBatchNormalization": Case(
        lambda: GhostBatchNormalization(3, momentum=0.5)
    ),
    "Maxout": Case(lambda: Maxout(3), features=1),
    "MeanOnlyBatchNormalization": Case(
        lambda: MeanOnlyBatchNormalization(momentum=0.5)
    ),
    "MonteCarloDropout": Case(lambda: MonteCarloDropout(0.4, seed=1)),
    "RandomizedReLU": Case(lambda: RandomizedReLU(seed=1)),
    "ScheduledDropout": Case(lambda: ScheduledDropout(0.4, seed=1)),
    "SpectralNormalization": Case(
        lambda: SpectralNormalization(convolution()), shape=(5, 4, 3)
    ),
    "SquaredReLU": Case(SquaredReLU),
    "StandardDropout": Case(lambda: StandardDropout(0.4, seed=1)),
    "StochasticDepth-row": Case(lambda: StochasticDepth(0.4, seed=1)),
    "StochasticDepth-batch": Case(
        lambda: StochasticDepth(0.4, mode="batch", seed=1)
    ),
    "ThresholdedLinearUnit": Case(ThresholdedLinearUnit),
    "TiedConv2DTranspose": Case(
        lambda: TiedConv2DTranspose(built(convolution(), 5, 4, 3)),
        shape=(5, 4, 3),
        drift=2,
    ),
    "TiedDense": Case(lambda: TiedDense(built(dense(), 3)), drift=2),
    "UnbiasedBatchNormalization": Case(
        lambda: UnbiasedBatchNormalization(momentum=0.5)
    ),
    "VariationalDropout": Case(lambda: VariationalDropout(dense(), 10, seed=1)),
    "WeightNoise": Case(lambda: WeightNoise(dense(), 0.4, seed=1)),
    "WeightNormalization": Case(lambda: WeightNormalization(dense())),
    "WeightStandardization": Case(
        lambda: WeightStandardization(convolution()), shape=(5, 4, 3)
    ),
    "ZoneoutLSTM": Case(
        lambda: ZoneoutLSTM(cell_rate=0.4, **lstm()),
        half={"dropout": 0},
        drift=4,
    ),
}

# Weights that a callback sets and no training step moves.
SET_FROM_OUTSIDE = {"rate", "stddev"}
BACKEND = keras.config.backend()
each_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS.keys())
# Keras' own part in these is the same on every backend.
slow_elsewhere = pytest.mark.slow if BACKEND != "tensorflow" else lambda f: f
only_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="tf.distribute and SavedModel"
)


def samples(case, count=6):
    """Returns inputs; of sequences, every second one ends masked."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, *case.shape)).astype("float32")
    if len(case.shape) == 2:
        x[::2, -2:] = 0
    return x


def branch(case, policy, suffix):
    """Returns input and output, with weights on both sides of the layer."""
    rank = len(case.shape)
    inputs = keras.Input((*[None] * (rank - 1), case.shape[-1]))
    x = keras.layers.Masking()(inputs) if rank == 2 else inputs
    layer, name = case.make(), f"layer{suffix}"
    config = {**layer.get_config(), "name": name, "dtype": policy}
    before = keras.layers.Dense(3, dtype=policy, name=f"before{suffix}")
    if "tied_to" in config:
        twin, named = layer.tied_to, before.get_config()
        named = {key: named[key] for key in ("name", "dtype")}
        before = type(twin).from_config({**twin.get_config(), **named})
        config["tied_to"] = before
    x = before(x)
    x = type(layer).from_config(config)(x)
    x = keras.layers.Dense(2, dtype=policy, name=f"after{suffix}")(x)
    if rank > 1:
        pooling = f"GlobalAveragePooling{rank - 1}D"
        x = getattr(keras.layers, pooling)(dtype="float32")(x)
    return inputs, x


def build(*cases, policy="float32", **compile_options):
    """Returns a compiled model with a branch for each case."""
    branches = [
        branch(case, policy, f"_{i}" if i else "")
        for i, case in enumerate(cases)
    ]
    inputs, outputs = map(list, zip(*branches, strict=True))
    if len(cases) > 1:
        outputs = keras.layers.Concatenate()(outputs)
    model = keras.Model(inputs, outputs)
    # A sum over branches, and no mean: each moves as it would alone.
    weights = [float(len(cases))]
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, "mse", loss_weights=weights, **compile_options)
    return model


def twins(first, second):
    """Returns two models of all layers and equal weights, compiled so.

    One model of all, since what is traced and compiled for each model takes
    longer than its layer.
    """
    models = [build(*LAYERS.values(), **options) for options in (first, second)]
    models[1].set_weights(models[0].get_weights())
    return models


def fit(model, *cases, count=6):
    """Trains two epochs, on batches of 4 and on what is left (slow on JAX)."""
    x = [samples(case, count) for case in cases]
    y = np.random.default_rng(1).normal(size=(count, 2 * len(cases)))
    return model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)


def predict(model, *cases):
    for variable in model.variables:  # For what draws at prediction too.
        if variable.name == "seed_generator_state":
            seed, _ = ops.convert_to_numpy(variable)
            variable.assign([seed, 0])
    outputs = model.predict([samples(case) for case in cases], verbose=0)
    return np.squeeze(outputs)


def scramble(model):
    """Gives every weight values that no initializer gives."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.weights])


def state(model):
    """Returns name and value of every variable, seed generators included."""
    return [(v.name, ops.convert_to_numpy(v.value)) for v in model.variables]


def by_layer(model):
    """Returns the state of each layer's branch, in a model of all."""
    states = {}
    for number, name in enumerate(LAYERS):
        suffix = f"_{number}" if number else ""
        states[name] = [
            (f"{v.name} of {name}", ops.convert_to_numpy(v.value))
            for part in ("before", "layer", "after")
            for v in model.get_layer(part + suffix).variables
        ]
    return states


def assert_same(first, second, **tolerance):
    for (name, value), (twin, other) in zip(first, second, strict=True):
        assert name == twin
        np.testing.assert_allclose(other, value, err_msg=name, **tolerance)


def assert_trained(before, after):
    """What a callback sets stays, the rest moves and is finite."""
    for (name, old), (_, new) in zip(before, after, strict=True):
        assert np.isfinite(new).all(), name
        moved = not np.array_equal(new, old)
        assert moved == (name.split()[0] not in SET_FROM_OUTSIDE), name


def draws(layer, case, count=1, **options):
    x = samples(case)
    return np.stack(
        [
            ops.convert_to_numpy(layer(x, training=True, **options))
            for _ in range(count)
        ]
    )


@each_layer
def test_config_holds_every_argument_and_the_random_sequence(case):
    layer = case.make()
    arguments = inspect.signature(type(layer).__init__).parameters.keys()
    assert arguments - {"self", "kwargs"} <= layer.get_config().keys()
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert type(clone) is type(layer)
    assert clone.get_config() == layer.get_config()
    np.testing.assert_array_equal(draws(clone, case, 3), draws(layer, case, 3))


@each_layer
def test_seed_makes_draws_reproducible_and_different_each_call(case):
    config = case.make().get_config()
    if "seed" not in config:
        pytest.skip("draws nothing")

    def run(seed):
        keras.utils.set_random_seed(seed)
        layer = type(case.make()).from_config({**config, "seed": None})
        return draws(layer, case, 8)

    first = run(3)
    np.testing.assert_array_equal(run(3), first)
    assert not np.array_equal(run(4), first)
    assert len(np.unique(first, axis=0)) > 1


@each_layer
def test_shape_is_known_before_and_batch_size_is_not(case):
    layer = case.make()
    outputs = layer(keras.Input(case.shape))
    *leading, _ = case.shape
    assert outputs.shape == (None, *leading, case.features)
    for count in (1, 5):
        x = samples(case, count)
        for training in (True, False):
            shape = tuple(layer(x, training=training).shape)
            assert shape == layer.compute_output_shape(x.shape)
            assert shape == (count, *leading, case.features)


@pytest.mark.slow
@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="elsewhere both are the same loop"
)
def test_graph_fit_equals_eager_fit():
    graph, eager = twins({"jit_compile": False}, {"run_eagerly": True})
    histories = [
        fit(model, *LAYERS.values()).history["loss"] for model in (graph, eager)
    ]
    np.testing.assert_allclose(*histories, rtol=1e-5)
    for name, found in by_layer(graph).items():
        assert_same(found, by_layer(eager)[name], rtol=1e-5, atol=1e-6)


@slow_elsewhere  # JAX compiles by XLA anyway.
@pytest.mark.skipif(
    BACKEND == "torch",
    reason="torch.compile takes 20 s a model and warns of Keras' own caches",
)
def test_xla_fit_equals_graph_fit():
    xla, graph = twins({"jit_compile": True}, {"jit_compile": False})
    before = by_layer(xla)
    for model in (xla, graph):
        fit(model, *LAYERS.values(), count=8)
    after, expected = by_layer(xla), by_layer(graph)
    for name, case in LAYERS.items():
        if BACKEND == "jax" or "seed" not in case.make().get_config():
            assert_same(after[name], expected[name], rtol=1e-5, atol=1e-6)
            continue
        # TensorFlow's XLA draws other numbers from the same seeds: what can be
        # equal is how many were drawn. The rest must have been trained.
        assert_trained(before[name], after[name])
        for (label, new), (_, twin) in zip(
            after[name], expected[name], strict=True
        ):
            if label.startswith("seed_generator_state"):
                np.testing.assert_array_equal(new, twin, err_msg=label)


@pytest.mark.parametrize(
    ("policy", "step"), [("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11)]
)
@each_layer
def test_mixed_precision_rounds_outputs_only(case, policy, step):
    config = {**case.make().get_config(), **case.half}
    layer = type(case.make()).from_config({**config, "dtype": policy})
    inputs = ops.cast(samples(case), layer.compute_dtype)
    outputs = layer(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy[6:]
    reference = type(layer).from_config(config)
    exact = reference(ops.cast(inputs, "float32"), training=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(outputs, "float32")),
        ops.convert_to_numpy(exact),
        rtol=2 * step,
        atol=1e-6 + case.drift * step,
    )
    for narrow, wide in zip(layer.weights, reference.weights, strict=True):
        assert narrow.dtype == "float32"
        np.testing.assert_allclose(
            *map(ops.convert_to_numpy, (narrow, wide)),
            rtol=0,
            atol=case.drift * step,
        )


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_bfloat16",
        # Elsewhere, the optimizer alone is another one.
        pytest.param(
            "mixed_float16",
            marks=pytest.mark.skipif(
                BACKEND != "tensorflow", reason="one fit of half floats"
            ),
        ),
    ],
)
def test_mixed_precision_trains(policy):
    model = build(*LAYERS.values(), policy=policy)
    before = by_layer(model)
    fit(model, *LAYERS.values(), count=8)
    for name, after in by_layer(model).items():
        assert_trained(before[name], after)


@pytest.mark.parametrize("training", [True, False])
@each_layer
def test_mask_reaches_the_next_layer(case, training):
    if len(case.shape) != 2:
        pytest.skip("no time axis to mask")
    # Warnings are errors: "does not support masking" is one.
    inputs = keras.Input((None, case.shape[-1]))
    hidden = case.make()(keras.layers.Masking()(inputs), training=training)
    pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    x = samples(case)
    mask = x.any(-1)
    assert 0 < mask.mean() < 1
    layer = case.make()
    options = {}
    if "mask" in inspect.signature(layer.call).parameters:
        options["mask"] = ops.convert_to_tensor(mask)
    outputs = ops.convert_to_numpy(layer(x, training=training, **options))
    expected = (outputs * mask[..., None]).sum(1) / mask.sum(1)[:, None]
    model = keras.Model(inputs, pooled)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(x)), expected, rtol=1e-5, atol=1e-6
    )


@slow_elsewhere
def test_weights_file_really_loads_into_a_fresh_model(tmp_path):
    cases = LAYERS.values()
    trained, fresh = build(*cases), build(*cases)
    scramble(trained)
    trained.save_weights(tmp_path / "all.weights.h5")
    expected = predict(trained, *cases)
    # Two outputs of each layer.
    moved = np.abs(predict(fresh, *cases) - expected).max(0)
    assert moved.reshape(-1, 2).max(1).min() > 1e-3
    fresh.load_weights(tmp_path / "all.weights.h5")
    np.testing.assert_allclose(
        predict(fresh, *cases), expected, rtol=1e-6, atol=1e-7
    )


@slow_elsewhere
def test_cloned_model_predicts_and_trains_as_the_original():
    model = build(*LAYERS.values())
    clone = keras.models.clone_model(model)
    clone.compile_from_config(model.get_compile_config())
    for layer in model.layers:
        if not layer.weights:
            continue
        twin = clone.get_layer(layer.name)
        assert layer is not twin
        assert layer.get_config() == twin.get_config()
        twin.set_weights(layer.get_weights())
    for m in (model, clone):
        fit(m, *LAYERS.values(), count=8)
    for name, found in by_layer(model).items():
        assert_same(found, by_layer(clone)[name], rtol=1e-5, atol=1e-6)


def second_process(*arguments, **environment):
    """Runs a function of this file in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_fresh_process_loads_what_all_layers_saved(tmp_path):
    model = build(*LAYERS.values())
    scramble(model)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "predicted.npy", predict(model, *LAYERS.values()))
    second_process("load", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "tensorflow", reason="needs it anyway")
def test_other_backends_do_not_import_tensorflow():
    second_process("modules")


@pytest.mark.slow
@pytest.mark.tensorflow
@only_tensorflow
def test_replicas_keep_the_same_state():
    second_process("mirror")


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution")
def test_data_parallel_fit_equals_one_device():
    devices = "--xla_force_host_platform_device_count=2"
    second_process("data_parallel", XLA_FLAGS=devices)


@pytest.mark.slow
@pytest.mark.tensorflow
@only_tensorflow
def test_exported_model_serves_the_same(tmp_path):
    import tensorflow as tf

    cases = LAYERS.values()
    model = build(*cases)
    scramble(model)
    model.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    served = loaded.serve([samples(case) for case in cases])
    np.testing.assert_allclose(
        served, predict(model, *cases), rtol=1e-5, atol=1e-6
    )


def load(folder):
    folder = pathlib.Path(folder)
    model = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    np.testing.assert_allclose(
        predict(model, *LAYERS.values()),
        np.load(folder / "predicted.npy"),
        rtol=1e-6,
        atol=1e-7,
    )


def modules():
    for case in LAYERS.values():
        draws(case.make(), case)
    assert "tensorflow" not in sys.modules


def mirror():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = build(*LAYERS.values())
    before = state(model)
    fit(model, *LAYERS.values(), count=8)
    for variable, (_, old) in zip(model.variables, before, strict=True):
        replicas = strategy.experimental_local_results(variable.value)
        first, second = (replica.numpy() for replica in replicas)
        np.testing.assert_array_equal(first, second, err_msg=variable.path)
        assert np.isfinite(first).all(), variable.path
        moved = not np.array_equal(first, old)
        assert moved == (variable.name not in SET_FROM_OUTSIDE), variable.path


def data_parallel():
    distribution = keras.distribution.DataParallel()
    assert distribution.device_mesh.devices.size == 2
    alone = build(*LAYERS.values())
    with distribution.scope():
        together = build(*LAYERS.values())
        together.set_weights(alone.get_weights())
        fit(together, *LAYERS.values(), count=8)
    fit(alone, *LAYERS.values(), count=8)
    assert_same(state(alone), state(together), rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
