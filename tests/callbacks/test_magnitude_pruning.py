import itertools

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import (
    MagnitudePruning,
    PolynomialSparsity,
    TrainingState,
)
from keras_regimen.custom_models import (
    KernelMask,
    fit_in_memory,
    masks_of,
    prune,
)
from keras_regimen.custom_optimizers import PolyakAveraging

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 5)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")
SCHEDULE = PolynomialSparsity(0.75, begin=1, end=3)


def model(optimizer="adam"):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(8, activation="tanh", name="hidden"),
            layers.Dense(2, name="last"),
        ]
    )
    if optimizer == "adam":
        optimizer = optimizers.Adam(0.05)
    net.compile(optimizer, "mse")
    return net


def train(net, *callbacks, fit=keras.Model.fit, epochs=5):
    return fit(
        net,
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    ).history


def prune_untrained(net, pruning, epochs=1):
    """Calls the hooks alone, and returns what each epoch logs."""
    pruning.set_model(net)
    pruning.on_train_begin()
    found = []
    for epoch in range(epochs):
        logs = {}
        pruning.on_epoch_begin(epoch)
        pruning.on_epoch_end(epoch, logs)
        found.append(logs["sparsity"])
    return found


class Watch(keras.callbacks.Callback):
    """Notes the kernels after each update."""

    def __init__(self):
        super().__init__()
        self.kernels = []

    def on_train_batch_end(self, batch, logs=None):
        self.kernels.append([k.copy() for k in kernels_of(self.model)])


def kernels_of(net):
    return [w for w in net.get_weights() if w.ndim == 2]


@pytest.fixture(scope="module")
def trained():
    net, watch = model(), Watch()
    history = train(net, MagnitudePruning(SCHEDULE), watch)
    return net, watch.kernels, history


def test_sparsity_is_exactly_as_scheduled(trained):
    _, kernels, history = trained
    for epoch in range(5):
        # Two updates in each epoch. Of 40 and 16 weights.
        for kernel in kernels[2 * epoch + 1]:
            zeros = round(SCHEDULE(epoch) * kernel.size)
            assert np.sum(kernel == 0) == zeros
    counts = [0, 0, 26 + 10, 30 + 12, 30 + 12]
    assert history["sparsity"] == pytest.approx([n / 56 for n in counts])


def test_pruned_weights_stay_zero_under_adam_and_others_move(trained):
    _, kernels, _ = trained
    for before, after in itertools.pairwise(kernels[4:]):
        for one, other in zip(before, after, strict=True):
            assert np.all(other[one == 0] == 0)
            assert np.all(other[other != 0] != one[other != 0])


def test_the_smallest_weights_go():
    net = model()
    kernels = [kernel.copy() for kernel in kernels_of(net)]
    prune_untrained(net, MagnitudePruning(lambda epoch: 0.5))
    for before, after in zip(kernels, kernels_of(net), strict=True):
        gone = np.abs(before[after == 0])
        assert gone.max() < np.abs(before[after != 0]).min()
        assert gone.size == before.size // 2


def test_before_the_first_pruning_it_is_plain_training(trained):
    _, kernels, _ = trained
    net = model()
    train(net, epochs=2)
    for one, other in zip(kernels_of(net), kernels[3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_model_is_plain_afterwards_and_saves(trained, tmp_path):
    net, _, _ = trained
    assert masks_of(net) == [None, None]
    assert all(weight.constraint is None for weight in net.weights)
    net.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras", safe_mode=True)
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), net.predict(X, verbose=0)
    )
    zeros = [int(np.sum(kernel == 0)) for kernel in kernels_of(loaded)]
    assert zeros == [30, 12]


def test_training_on_without_masks_is_plain_again():
    net = model(optimizers.SGD(0.1, momentum=0.9))
    train(net, MagnitudePruning(lambda epoch: 0.5), epochs=1)
    assert [np.mean(k == 0) for k in kernels_of(net)] == [0.5, 0.5]
    train(net, epochs=1)
    assert not any(np.any(kernel == 0) for kernel in kernels_of(net))


@pytest.mark.skipif(BACKEND == "torch", reason="has no compiled epoch")
def test_compiled_epochs_prune_alike_and_go_on(trained):
    _, kernels, history = trained
    net, steps = model(), []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: steps.append(net.train_function)
    )
    found = train(net, MagnitudePruning(SCHEDULE), watch, fit=fit_in_memory)
    assert net.history.params["plain_fit"] is None
    assert found["sparsity"] == history["sparsity"]
    for one, other in zip(kernels_of(net), kernels[-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    # JAX compiles masks in, and compiles anew when weights go.
    assert len(set(map(id, steps))) == (3 if BACKEND == "jax" else 1)


def test_counts_updates():
    schedule = PolynomialSparsity(0.5, begin=0, end=3, power=1)
    net, watch = model("sgd"), Watch()
    train(net, MagnitudePruning(schedule, "batch"), watch, epochs=3)
    counts = [int(np.sum(k[1] == 0)) for k in watch.kernels]
    assert counts == [0, round(16 / 6), round(16 / 3), 8, 8, 8]


def test_all_kernels_may_be_judged_together():
    net = model("sgd")
    net.layers[0].kernel.assign(0.001 * net.layers[0].kernel)
    prune_untrained(net, MagnitudePruning(lambda e: 0.5, scope="global"))
    zeros = [int(np.sum(kernel == 0)) for kernel in kernels_of(net)]
    assert zeros == [28, 0]


def test_masks_that_a_model_has_stay_and_count():
    net = prune(model(), 0.25, scope="layer")
    net.compile("sgd", "mse")
    masks = masks_of(net)
    # And where the schedule falls, nothing happens.
    pruning = MagnitudePruning(lambda epoch: (0.1, 0.5, 0.3)[epoch])
    assert prune_untrained(net, pruning, epochs=3) == [0.25, 0.5, 0.5]
    pruning.on_train_end()
    for before, after in zip(masks, masks_of(net), strict=True):
        assert not np.any(after & ~before)
        assert np.mean(after) == 0.5


def test_skipped_layers_and_inner_constraints_are_left_alone():
    net = model()
    norm = keras.constraints.MaxNorm(0.1)
    kernel = net.layers[0].kernel
    kernel.constraint = norm
    pruning = MagnitudePruning(lambda epoch: 0.5, skip=["last"])
    prune_untrained(net, pruning)
    assert [np.mean(k == 0) for k in kernels_of(net)] == [0.5, 0]
    held = kernel.constraint(keras.ops.ones(kernel.shape))
    held = keras.ops.convert_to_numpy(held)
    np.testing.assert_array_equal(held == 0, kernels_of(net)[0] == 0)
    assert np.linalg.norm(held, axis=0).max() < 0.1 + 1e-6
    pruning.on_train_end()
    assert kernel.constraint is norm


def test_averages_of_the_weights_are_pruned_too():
    net = model(PolyakAveraging(optimizers.SGD(0.1)))
    train(net, MagnitudePruning(lambda epoch: 0.5 * (epoch > 0)), epochs=2)
    assert [np.mean(k == 0) for k in kernels_of(net)] == [0.5, 0.5]


class BreakError(Exception):
    pass


def test_masks_are_part_of_the_training_state(trained, tmp_path):
    def start(break_in=None):
        def stop(epoch, logs):
            if epoch == break_in:
                raise BreakError

        net = model()
        train(
            net,
            MagnitudePruning(SCHEDULE),
            keras.callbacks.LambdaCallback(on_epoch_end=stop),
            TrainingState(tmp_path, delete_on_completion=False),
        )
        return net

    with pytest.raises(BreakError):
        start(break_in=3)
    net = start()
    found = net.history.history["sparsity"][2:]
    assert found == pytest.approx([36 / 56, 42 / 56, 42 / 56])
    undisturbed, _, _ = trained
    for one, other in zip(
        net.get_weights(), undisturbed.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_what_an_interrupted_training_left_is_taken_off():
    net, pruning = model(), MagnitudePruning(lambda epoch: 0.5)
    kernel = net.layers[0].kernel
    prune_untrained(net, pruning)
    assert isinstance(kernel.constraint, KernelMask)
    prune_untrained(net, pruning)
    pruning.on_train_end()
    assert kernel.constraint is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": 0.9}, "schedule=0.9"),
        ({"unit": "step"}, "unit='step'"),
        ({"scope": "all"}, "scope='all'"),
        ({"skip": "last"}, "skip='last'"),
    ],
)
def test_bad_arguments_say_what_was_received(change, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        MagnitudePruning(**{"schedule": SCHEDULE, **change})


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_schedule_that_returns_no_share_is_refused(share):
    with pytest.raises(ValueError, match=f"Received: {share} for epoch 7"):
        MagnitudePruning(lambda epoch: share).evaluate(7)


@pytest.mark.parametrize("skip", [["first"], ["hidden", "last"]])
def test_names_that_fit_no_layer_or_all_are_refused(skip):
    pruning = MagnitudePruning(SCHEDULE, skip=skip)
    pruning.set_model(model())
    with pytest.raises(ValueError, match="Received: skip="):
        pruning.on_train_begin()
