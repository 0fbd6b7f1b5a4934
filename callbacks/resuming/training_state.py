"""Training that goes on after a crash as if there had been none."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ..averaging.swap_averaged_weights import SwapAveragedWeights
from ..check_count import check_count
from ..stopping.best_state import BestState
from .attribute_state import AttributeState
from .callbacks_before import callbacks_before
from .model_state import (
    assign,
    description,
    place_of,
    rate_factors,
    set_rate_factors,
    state_variables,
    values_of,
)
from .random_states import random_states, set_random_states
from .state_file import read_state, write_state


class TrainingState(keras.callbacks.Callback):
    """Saves all that training depends on, and goes on from there.

    Use it in long training on a machine that may fail. Start the same script
    again and `fit` goes on after the last epoch that was saved, with results
    equal to the bit to those of a training that was never interrupted. What
    an earlier start has finished, or stopped early, is not trained on.

    Saved are, beyond what `keras.callbacks.BackupAndRestore` saves: the state
    of the other callbacks (the best weights and the waiting of
    `EarlyStopping`, the strips of `PrecheltStopping`, how far
    `ReduceLROnPlateau` has turned down a schedule; of a callback from
    elsewhere the attributes that changed and are plain data), the seed
    generators of layers and optimizers, masks of pruned weights, the random
    states that the order of samples is drawn from, and the `History`. The
    file is written whole or not at all.

    The script must build model, data and callbacks in the same way each time.
    On TensorFlow that includes `keras.utils.set_random_seed`: without it
    nobody knows from what `fit` draws the order of arrays. (With it, that
    order is the same in each epoch; `fit_in_memory` draws new ones.) An epoch
    must be a whole pass over the data: with fewer `steps_per_epoch` training
    goes on at the begin of a pass. Nothing can resume a `tf.data` pipeline or
    a Python generator in its midst, nor draws of `keras.random` without a
    seed generator.

    Args:
        directory: String or path. The folder of the file, made if missing.
            Each training needs its own.
        every: Integer, 1 or more. Save after each so many epochs, and after
            the last. Defaults to `1`.
        also: Sequence of further objects with a state: the NumPy generator
            that is the `shuffle` of `fit_in_memory`, or a dataset that counts
            its epochs, such as `CurriculumDataset`. Default: none.
        delete_on_completion: Boolean. Whether to delete the file when `fit`
            has ended in order, so that another start trains anew. Defaults to
            `True`.

    Raises:
        ValueError: If an argument is none of those; when training begins, if
            another callback comes after this one, whose work would be missed,
            if the model is not built, or if the file is torn or foreign, or
            of another model, optimizer, backend or list of callbacks.

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> def train(epochs):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     state = TrainingState(folder, delete_on_completion=False)
    ...     return model.fit(
    ...         np.eye(2), np.ones(2), epochs=epochs, verbose=0,
    ...         callbacks=[state],
    ...     )
    >>> _ = train(epochs=2)
    >>> train(epochs=3).epoch  # Of these the third alone is trained.
    [0, 1, 2]

    Reference:

    - Keras' own `BackupAndRestore`, which forgets the callbacks, the order of
      samples and the history, and tears its file if it is killed writing.
    """

    def __init__(
        self,
        directory: str | Path,
        every: int = 1,
        also: Sequence[Any] = (),
        delete_on_completion: bool = True,
    ):
        super().__init__()
        if not isinstance(directory, str | Path) or not str(directory):
            raise ValueError(
                "`directory` must be the path of a folder. "
                f"Received: directory={directory!r}"
            )
        check_count("every", every, at_least=1)
        self.file = Path(directory) / "training_state.npz"
        self.every = every
        self.also = [
            {"generator": one} if isinstance(one, np.random.Generator) else one
            for one in also
        ]
        self.delete_on_completion = delete_on_completion
        self._history: dict | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._callbacks = callbacks_before(self)
        if not self.model.built:
            raise ValueError(
                "The model must be built before `fit`, so that there is what "
                "a saved state is written into: give it an `Input`. "
                f"Received: model={self.model.name}, not built"
            )
        self._attributes = AttributeState(
            [*self._callbacks, self.params, *self.also]
        )
        self._history = None
        if self.file.exists():
            self._restore(read_state(self.file))

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        self._go_on()

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        last = epoch + 1 == self.params["epochs"]
        if (epoch + 1) % self.every == 0 or last or self.model.stop_training:
            write_state(self.file, self._state(epoch, logs or {}))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._go_on()
        if self.delete_on_completion:
            self.file.unlink(missing_ok=True)

    def _state(self, epoch: int, logs: Mapping[str, Any]) -> dict[str, Any]:
        variables = state_variables(self.model)
        values = {id(variable): values_of(variable) for variable in variables}
        for callback in self._callbacks:
            if isinstance(callback, SwapAveragedWeights):
                # Training goes on with what the averages stand in for.
                for variable, value in callback._kept:
                    values[id(variable)] = [ops.convert_to_numpy(value)]
        return {
            "place": place_of(variables),
            "variables": [description(variable) for variable in variables],
            "values": [values[id(variable)] for variable in variables],
            "rate_factors": rate_factors(self.model.optimizer),
            "attributes": self._attributes.changed(),
            "best": [_kept(best, variables) for best in self._best_states()],
            "random": random_states(),
            "epoch": epoch + 1,
            "stopped": self.model.stop_training,
            "history": self._history_until(epoch, logs),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        variables = state_variables(self.model)
        self._check(state, variables)
        self._attributes.put_back(state["attributes"])
        for best, kept in zip(self._best_states(), state["best"], strict=True):
            if kept is not None:
                # By way of the model, since only there a copy is taken.
                assign([variables[i] for i in kept["places"]], kept["values"])
                set_random_states(kept["random"])
                best.keep(self.model)
        assign(variables, state["values"])
        set_random_states(state["random"])
        set_rate_factors(self.model.optimizer, state["rate_factors"])
        # A step that was compiled before knows another schedule and, on JAX,
        # other masks.
        self.model.make_train_function(force=True)
        # No epoch is left for a training that has stopped. Private, but how
        # `BackupAndRestore` says where to go on.
        self.model._initial_epoch = (
            self.params["epochs"] if state["stopped"] else state["epoch"]
        )
        self.model.stop_training = state["stopped"]
        self._history = state["history"]

    def _go_on(self) -> None:
        if self._history is None:
            return
        # Else the next `fit` would go on from there.
        self.model._initial_epoch = None
        # Only now, for Keras' own begins anew after this `on_train_begin`.
        self.model.history.epoch = list(self._history["epoch"])
        self.model.history.history.update(self._history["history"])
        self._history = None

    def _history_until(self, epoch: int, logs: Mapping[str, Any]) -> dict:
        found = self.model.history
        epochs = list(found.epoch)
        history = {name: list(values) for name, values in found.history.items()}
        # Keras' own comes after all others, and has yet to note this epoch.
        if epoch not in epochs:
            epochs.append(epoch)
            for name, value in logs.items():
                history.setdefault(name, []).append(value)
        return {"epoch": epochs, "history": history}

    def _best_states(self) -> list[BestState]:
        return [
            value
            for callback in self._callbacks
            for value in vars(callback).values()
            if isinstance(value, BestState)
        ]

    def _check(
        self, state: dict[str, Any], variables: list[keras.Variable]
    ) -> None:
        remedy = f"Delete '{self.file}' to start anew."
        place = place_of(variables)
        if state["place"] != place:
            raise ValueError(
                "Training must go on where it began, with "
                f"{state['place']}: elsewhere random numbers are others. "
                f"{remedy} Received: {place}"
            )
        now = [description(variable) for variable in variables]
        then = state["variables"]
        for i in range(max(len(then), len(now))):
            before, after = (
                found[i] if i < len(found) else "missing"
                for found in (then, now)
            )
            if before != after:
                raise ValueError(
                    "Model and optimizer must be those whose state was saved, "
                    f"in which variable {i + 1} of {len(then)} was {before}. "
                    f"{remedy} Received: {after}"
                )


def _kept(best: BestState, variables: list[keras.Variable]) -> dict | None:
    if best.weights is None or not best._variables:
        return None
    places = {id(variable): i for i, variable in enumerate(variables)}
    values = [*best.weights, *best._copies[len(best.weights) :]]
    # Not the metrics, which begin anew with each epoch.
    kept = [
        (places[id(variable)], [ops.convert_to_numpy(value)])
        for variable, value in zip(best._variables, values, strict=True)
        if id(variable) in places
    ]
    states = random_states()
    if best._random_state is not None:
        on_cpu, on_gpus = best._random_state
        states["torch"] = [state.numpy() for state in (on_cpu, *on_gpus)]
    return {
        "places": [place for place, _ in kept],
        "values": [value for _, value in kept],
        "random": states,
    }
