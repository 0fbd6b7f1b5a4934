"""Several models from one training, which vote."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from keras import tree

from ..check_count import check_count
from ..learning_rate.learning_rate_decay import LearningRateDecay
from ..learning_rate.learning_rates import rate_of, rated_optimizers


class SnapshotEnsemble(keras.callbacks.Callback):
    """Saves a model at the end of each learning-rate cycle.

    Use it to get an ensemble at the cost of training once. In each cycle the
    rate falls from its maximum to almost 0 along a cosine, and training comes
    to rest in a minimum; the next cycle starts with the maximum again, which
    drives it to another. A cycle needs to be long enough to converge in.

    `ensemble()` makes one Keras model of the saved members, whose output is
    the mean of theirs. For that to be a vote, outputs must be probabilities,
    so end the model with a softmax or sigmoid.

    Args:
        directory: String or path. The folder of the members' files,
            `member_001.keras` and so on; made if missing. Each training needs
            its own.
        cycle_epochs: Integer, 1 or more. The epochs of a cycle. One that
            training ends in the middle of gives no member.
        max_learning_rate: Float, larger than 0, the rate that a cycle starts
            with. `None` takes the rate that the optimizer has when training
            begins, and so is not for a training that was interrupted and goes
            on. The optimizer has it again when training has ended. Defaults to
            `None`.
        unit: `"batch"`, as in the paper, or `"epoch"`: how often the rate is
            set. By the epoch `fit_in_memory` keeps epochs compiled. `None`
            leaves the rate to a schedule of yours, such as Keras'
            `CosineDecayRestarts` in the optimizer, or a `LearningRateDecay`;
            its cycles should have as many epochs. Defaults to `"batch"`.

    Raises:
        ValueError: If an argument is none of those; when training begins, if
            the optimizer has a schedule, unless `unit` is `None`, if the
            number of batches is unknown and `unit` is `"batch"`, or if there
            are members of another training.

    Example:

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> snapshots = SnapshotEnsemble(tempfile.mkdtemp(), cycle_epochs=2)
    >>> history = model.fit(
    ...     np.eye(2), np.ones(2), epochs=6, verbose=0, callbacks=[snapshots]
    ... )
    >>> len(snapshots.members)
    3
    >>> snapshots.ensemble(last=2).predict(np.eye(2), verbose=0).shape
    (2, 1)

    Reference:

    - Huang, Li, Pleiss, Liu, Hopcroft and Weinberger, "Snapshot Ensembles:
      Train 1, get M for free", [2017](https://arxiv.org/abs/1704.00109),
      equation 2. The paper has no rate by the epoch.
    """

    def __init__(
        self,
        directory: str | Path,
        cycle_epochs: int,
        max_learning_rate: float | None = None,
        unit: str | None = "batch",
    ):
        super().__init__()
        if not isinstance(directory, str | Path) or not str(directory):
            raise ValueError(
                "`directory` must be the path of a folder. "
                f"Received: directory={directory!r}"
            )
        check_count("cycle_epochs", cycle_epochs, at_least=1)
        if max_learning_rate is not None and not (
            0 < max_learning_rate < math.inf
        ):
            raise ValueError(
                "`max_learning_rate` must be a finite number larger than 0, "
                f"or None. Received: {max_learning_rate=}"
            )
        if unit not in ("batch", "epoch", None):
            raise ValueError(
                f'`unit` must be "batch", "epoch" or None. Received: {unit=}'
            )
        self.directory = Path(directory)
        self.cycle_epochs = cycle_epochs
        self.max_learning_rate = max_learning_rate
        self.unit = unit
        self._decay = LearningRateDecay(self.evaluate)
        self._highest = max_learning_rate
        self._epoch = 0
        self._begun = False
        if unit == "batch":
            # On the instance alone: a class with it would never train in
            # compiled epochs.
            self.on_train_batch_begin = self._on_batch

    @property
    def members(self) -> list[Path]:
        """The files of the members, the earliest first."""
        return sorted(self.directory.glob("member_*.keras"))

    def evaluate(self, epochs: float) -> float:
        """Returns the rate after a number of epochs.

        Args:
            epochs: Float, 0 or more. Half an epoch counts as 0.5.

        Returns:
            Float.
        """
        if self._highest is None:
            raise ValueError(
                "`max_learning_rate` must be given before training, where no "
                "optimizer has a rate to start with. Received: None"
            )
        share = epochs % self.cycle_epochs / self.cycle_epochs
        return self._highest / 2 * (math.cos(math.pi * share) + 1)

    def ensemble(self, last: int | None = None) -> keras.Model:
        """Returns one functional model, the mean of the members' outputs.

        It is not compiled, and is saved, exported and loaded without this
        library, unless the members need it.

        Args:
            last: Integer, 1 or more. How many of the last members vote. Those
                of late cycles are the better ones, so fewer can be more.
                Default: all.

        Returns:
            A `keras.Model`.

        Raises:
            ValueError: If there are not so many members, or they are neither
                functional nor sequential models.
        """
        files = self.members
        count = len(files) if last is None else last
        check_count("last", count, at_least=1)
        if not files or count > len(files):
            raise ValueError(
                "`last` must be at most the number of members, which is "
                f"{len(files)} in '{self.directory}'. Received: last={last}"
            )
        members = []
        for file in files[-count:]:
            member = keras.saving.load_model(file, compile=False)
            if not isinstance(member, keras.Sequential | keras.Function):
                raise ValueError(
                    "Members must be functional or sequential models, to be "
                    "parts of one model. Received: "
                    f"{type(member).__name__} in '{file}'"
                )
            member.name = file.stem
            members.append(member)
        first = members[0]
        # A sequential model has no `input` before it was called.
        sequential = isinstance(first, keras.Sequential)
        like = first.inputs[0] if sequential else first.input
        if isinstance(like, dict):
            inputs = {key: _input(t, key) for key, t in like.items()}
        else:
            inputs = tree.map_structure(_input, like)
        outputs = [member(inputs) for member in members]
        if len(outputs) == 1:
            mean = outputs[0]
        else:
            mean = tree.map_structure(
                lambda *parts: keras.layers.Average()(list(parts)), *outputs
            )
        return keras.Model(inputs, mean, name="snapshot_ensemble")

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._begun = False
        if self.unit is None:
            return
        self._decay.set_model(self.model)
        self._decay.on_train_begin()
        if self.unit == "batch" and not (self.params or {}).get("steps"):
            raise ValueError(
                "The number of batches of an epoch must be known, so that "
                "the rate can fall with each: pass `steps_per_epoch` to "
                '`fit`, or `unit="epoch"`. Received: steps=None'
            )
        self._highest = self.max_learning_rate
        if self._highest is None:
            rated = rated_optimizers(self.model.optimizer).values()
            self._highest = rate_of(next(iter(rated)))

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        # Only now it is known whether training goes on from an earlier one.
        if not self._begun and epoch == 0 and self.members:
            raise ValueError(
                "`directory` must hold no members of another training: "
                "delete them, name another folder, or go on with "
                f"`initial_epoch`. Received: directory='{self.directory}', "
                f"with {len(self.members)} members"
            )
        self._begun = True
        self._epoch = epoch
        if self.unit == "epoch":
            self._decay.on_epoch_begin(epoch)

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self.unit is not None:
            self._decay.on_epoch_end(epoch, logs)
        if (epoch + 1) % self.cycle_epochs == 0:
            cycle = (epoch + 1) // self.cycle_epochs
            self.directory.mkdir(parents=True, exist_ok=True)
            self.model.save(self.directory / f"member_{cycle:03d}.keras")

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.unit is not None and self._highest is not None:
            self._decay._set(self._highest)

    def _on_batch(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        share = batch / self.params["steps"]
        self._decay._set(self.evaluate(self._epoch + share))


def _input(tensor: keras.KerasTensor, name: str | None = None) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
