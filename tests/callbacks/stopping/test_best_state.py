import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest

from keras_regimen.callbacks.stopping.best_state import BestState


def small_model(**compile_arguments):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(0.1)
    model.compile(optimizer, "mse", metrics=["mae"], **compile_arguments)
    return model


def train(model, seed=0):
    x = np.random.default_rng(seed).normal(size=(16, 3)).astype("float32")
    model.fit(x, x[:, :1], batch_size=8, shuffle=False, verbose=0)


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def all_variables(model):
    return [
        *model.variables,
        *model.optimizer.variables,
        *model.metrics_variables,
    ]


def same(arrays, others):
    return [
        bool(np.array_equal(array, other))
        for array, other in zip(arrays, others, strict=True)
    ]


STOPPING = "keras_regimen.callbacks.stopping"


@pytest.fixture
def accelerator(monkeypatch):
    """Has TensorFlow's variables taken for those of an accelerator."""
    monkeypatch.setattr(
        f"{STOPPING}._tensorflow._on_cpu",
        lambda tensors: False,
    )


# With XLA, TensorFlow may update variables in place. JAX always uses it.
TENSORFLOW = keras.backend.backend() == "tensorflow"
JIT = [False, True] if TENSORFLOW else ["auto"]


@pytest.mark.parametrize("jit_compile", JIT)
@pytest.mark.parametrize(
    "device", ["cpu", "accelerator"] if TENSORFLOW else ["cpu"]
)
def test_training_state_comes_back_whole_and_may_come_back_twice(
    jit_compile, device, request
):
    if device == "accelerator":
        request.getfixturevalue("accelerator")
    model = small_model(jit_compile=jit_compile)
    train(model)
    best = BestState(training_state=True)
    best.keep(model)
    variables = all_variables(model)
    kept = values(variables)
    for seed in (1, 2):
        train(model, seed)
        # The learning rate alone stands still, and perhaps a metric's count.
        assert sum(same(values(variables), kept)) <= 3
        assert best.restore(model)
        assert all(same(values(variables), kept))


def test_weights_alone_leave_the_optimizer_where_it_is():
    model = small_model()
    train(model)
    best = BestState()
    best.keep(model)
    weights = values(model.weights)
    train(model)
    others = values(model.optimizer.variables)
    best.restore(model)
    assert all(same(values(model.weights), weights))
    assert all(same(values(model.optimizer.variables), others))


def test_no_variable_is_asked_for_a_copy_on_the_host(monkeypatch, request):
    if TENSORFLOW:
        request.getfixturevalue("accelerator")
    model = small_model()
    model.optimizer.build(model.trainable_variables)
    best = BestState(training_state=True)

    def refuse(*_):
        raise AssertionError("A copy to the host.")

    for name in ("numpy", "__array__"):
        monkeypatch.setattr(keras.Variable, name, refuse)
    best.keep(model)
    assert all(keras.ops.is_tensor(weight) for weight in best.weights)
    best.restore(model)


def address(tensor):
    if keras.backend.backend() == "jax":
        return tensor.unsafe_buffer_pointer()
    return tensor.ctypes.data if TENSORFLOW else tensor.data_ptr()


@pytest.mark.parametrize(
    "size", ["small", "large"] if TENSORFLOW else ["small"]
)
def test_memory_of_the_earlier_copy_is_used_again(size, monkeypatch):
    if size == "large":  # Copied by several cores.
        module = f"{STOPPING}._tensorflow"
        monkeypatch.setattr(f"{module}._LARGE", 0)
        monkeypatch.setattr(f"{module}._CORES", 3)
    model = small_model()
    train(model)
    best = BestState(training_state=True)
    best.keep(model)
    before = [address(weight) for weight in best.weights]
    train(model)
    best.keep(model)
    assert [address(weight) for weight in best.weights] == before
    assert all(same(values(best.weights), values(model.weights)))


@pytest.mark.skipif(
    not TENSORFLOW, reason="The others use the memory of the earlier copy."
)
def test_earlier_copy_is_let_go_before_the_next_is_made(
    monkeypatch, accelerator
):
    model = small_model()
    best = BestState()
    best.keep(model)
    earlier = weakref.ref(best.weights[0])
    alive = []
    monkeypatch.setattr(
        "tensorflow.identity", lambda _: alive.append(earlier() is not None)
    )
    best.keep(model)
    assert alive == [False] * len(model.weights)


def test_copy_that_was_cut_short_is_never_restored(monkeypatch):
    model = small_model()
    best = BestState()
    best.keep(model)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    now = values(model.weights)
    with monkeypatch.context() as patch:
        patch.setattr(
            f"{STOPPING}.best_state._copies",
            lambda *_, **__: 1 / 0,
        )
        with pytest.raises(ZeroDivisionError):
            best.keep(model)
    assert best.restore(model) is False
    assert all(same(values(model.weights), now))
    best.keep(model)
    assert best.restore(model) is True


def test_another_model_gets_its_own_copy():
    # As many weights as the other, of other shapes.
    layers = [keras.layers.Dense(1), keras.layers.Dense(1)]
    other = small_model()
    best = BestState()
    best.keep(keras.Sequential([keras.Input((1,)), *layers]))
    best.keep(other)
    kept = values(other.weights)
    other.set_weights([weight + 1 for weight in other.get_weights()])
    best.restore(other)
    assert all(same(values(other.weights), kept))


def test_nothing_is_restored_while_nothing_is_kept():
    model = small_model()
    weights = values(model.weights)
    assert BestState().restore(model) is False
    assert all(same(values(model.weights), weights))


MIRRORED = """
import keras, numpy as np, tensorflow as tf
from keras_regimen.callbacks.stopping.best_state import BestState

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layers = [keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.1), "mse")
x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
fit = lambda: model.fit(x, x[:, :1], batch_size=8, shuffle=False, verbose=0)
replicas = lambda: [
    replica.numpy()
    for v in [*model.variables, *model.optimizer.variables]
    for replica in strategy.experimental_local_results(v.value)
]
equal = lambda a, b: [np.array_equal(c, d) for c, d in zip(a, b, strict=True)]
fit()
best = BestState(training_state=True)
best.keep(model)
kept = replicas()
fit()
after = replicas()
assert sum(equal(after, kept)) <= 2, "only the learning rate stands still"
best.restore(model)
assert all(equal(replicas(), kept))
fit()
assert np.allclose(replicas()[0], after[0], atol=1e-6)
print("replicas:", strategy.num_replicas_in_sync)
"""


@pytest.mark.slow
@pytest.mark.tensorflow
def test_all_replicas_of_a_mirrored_model_come_back():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("`MirroredStrategy` is TensorFlow's.")
    # Virtual devices must be set before TensorFlow starts.
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "replicas: 2" in done.stdout
