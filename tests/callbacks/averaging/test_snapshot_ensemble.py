import math

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import LearningRateDecay, SnapshotEnsemble
from keras_regimen.custom_models import fit_in_memory

BACKEND = keras.config.backend()
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = (X.sum(axis=1) > 0).astype(int)


class Watch(keras.callbacks.Callback):
    """Notes rates by batch, and predictions at the ends of epochs."""

    def __init__(self):
        super().__init__()
        self.rates, self.outputs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        self.outputs.append(np.array(keras.ops.convert_to_numpy(self.model(X))))


def compiled(optimizer=None):
    net = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, activation="softmax")]
    )
    net.compile(
        optimizer or optimizers.SGD(0.5), "sparse_categorical_crossentropy"
    )
    return net


def trained(net, *callbacks, fit=keras.Model.fit, epochs=7, **options):
    return fit(
        net,
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    ).history


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three cycles of two epochs of three batches, and an epoch more."""
    net, watch = compiled(), Watch()
    folder = tmp_path_factory.mktemp("snapshots") / "new"
    snapshots = SnapshotEnsemble(folder, cycle_epochs=2)
    history = trained(net, snapshots, watch)
    return net, watch, snapshots, history


def test_the_rate_is_that_of_the_paper(run):
    net, watch, _, history = run
    # Equation 2, with 6 iterations in a cycle.
    expected = [
        0.5 / 2 * (math.cos(math.pi * ((t - 1) % 6) / 6) + 1)
        for t in range(1, 22)
    ]
    np.testing.assert_allclose(watch.rates, expected, rtol=1e-5)
    np.testing.assert_allclose(
        history["learning_rate"], expected[2::3], rtol=1e-5
    )
    # The next training starts with a new cycle.
    assert float(net.optimizer.learning_rate) == 0.5


def test_members_are_the_models_at_the_ends_of_cycles(run):
    _, watch, snapshots, _ = run
    names = [file.name for file in snapshots.members]
    assert names == [f"member_00{i}.keras" for i in (1, 2, 3)]
    for file, epoch in zip(snapshots.members, (1, 3, 5), strict=True):
        member = keras.saving.load_model(file, safe_mode=True)
        np.testing.assert_allclose(
            member.predict(X, verbose=0), watch.outputs[epoch], rtol=1e-5
        )


@pytest.mark.parametrize("last", [None, 2, 1])
def test_the_ensemble_is_the_mean_of_the_last_members(run, last, tmp_path):
    _, watch, snapshots, _ = run
    ends = [watch.outputs[epoch] for epoch in (1, 3, 5)][-(last or 3) :]
    ensemble = snapshots.ensemble(last)
    found = keras.ops.convert_to_numpy(ensemble(X))
    np.testing.assert_allclose(found, np.mean(ends, axis=0), rtol=1e-5)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(
        tmp_path / "ensemble.keras", safe_mode=True
    )
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(X)), found)


def test_members_vote_in_another_process_too(run):
    snapshots = SnapshotEnsemble(run[2].directory, cycle_epochs=99)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(snapshots.ensemble()(X)),
        keras.ops.convert_to_numpy(run[2].ensemble()(X)),
    )


def test_several_inputs_and_outputs_by_name(tmp_path):
    inputs = {name: keras.Input((3,), name=name) for name in ("a", "b")}
    both = layers.Concatenate()(list(inputs.values()))
    heads = {"p": layers.Dense(2)(both), "q": layers.Dense(1)(both)}
    net = keras.Model(inputs, heads)
    data = {"a": X, "b": 2 * X}
    outputs = []
    for cycle in (1, 2):
        net.set_weights([w + 0.1 for w in net.get_weights()])
        net.save(tmp_path / f"member_00{cycle}.keras")
        outputs.append(net(data))
    found = SnapshotEnsemble(tmp_path, 1).ensemble()(data)
    for name in ("p", "q"):
        expected = [keras.ops.convert_to_numpy(o[name]) for o in outputs]
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(found[name]),
            np.mean(expected, axis=0),
            rtol=1e-5,
            atol=1e-6,
        )


def test_a_rate_by_the_epoch_keeps_epochs_compiled(tmp_path):
    fit = keras.Model.fit if BACKEND == "torch" else fit_in_memory
    snapshots = SnapshotEnsemble(tmp_path, 3, max_learning_rate=1, unit="epoch")
    history = trained(compiled(), snapshots, fit=fit, epochs=4)
    expected = [(math.cos(math.pi * part / 3) + 1) / 2 for part in (0, 1, 2, 0)]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)
    assert len(snapshots.members) == 1


def test_a_schedule_of_ones_own_is_left_alone(tmp_path):
    net = compiled()
    snapshots = SnapshotEnsemble(tmp_path, 1, unit=None)
    decay = LearningRateDecay(lambda epoch: 2.0**-epoch)
    history = trained(net, snapshots, decay, epochs=2)
    assert history["learning_rate"] == [1.0, 0.5]
    assert float(net.optimizer.learning_rate) == 0.5
    assert len(snapshots.members) == 2


def test_a_training_that_goes_on_keeps_its_members(tmp_path):
    net = compiled()
    snapshots = SnapshotEnsemble(tmp_path, 1, unit="epoch")
    trained(net, snapshots, epochs=1)
    with pytest.raises(ValueError, match="no members of another.*1 members"):
        trained(net, snapshots, epochs=1)
    trained(net, snapshots, epochs=2, initial_epoch=1)
    assert len(snapshots.members) == 2


def test_the_number_of_batches_must_be_known(tmp_path):
    snapshots = SnapshotEnsemble(tmp_path, 1)
    snapshots.set_model(compiled())
    snapshots.set_params({"steps": None})
    with pytest.raises(ValueError, match="number of batches.*steps=None"):
        snapshots.on_train_begin()


def test_a_schedule_in_the_optimizer_needs_no_unit(tmp_path):
    schedule = optimizers.schedules.CosineDecayRestarts(0.1, 3)
    snapshots = SnapshotEnsemble(tmp_path, 1)
    snapshots.set_model(compiled(optimizers.SGD(schedule)))
    with pytest.raises(ValueError, match="it has a schedule already"):
        snapshots.on_train_begin()


def test_more_members_than_there_are_cannot_vote(run, tmp_path):
    with pytest.raises(ValueError, match="which is 3 in.*last=4"):
        run[2].ensemble(last=4)
    with pytest.raises(ValueError, match="`last` must be an integer"):
        run[2].ensemble(last=0)
    with pytest.raises(ValueError, match="which is 0 in.*last=1"):
        SnapshotEnsemble(tmp_path, 1).ensemble(last=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"directory": 3},
        {"directory": ""},
        {"cycle_epochs": 0},
        {"max_learning_rate": 0.0},
        {"max_learning_rate": math.nan},
        {"unit": "step"},
    ],
)
def test_bad_arguments_are_refused(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}='?{value}"):
        SnapshotEnsemble(**{"directory": "d", "cycle_epochs": 1, **arguments})
