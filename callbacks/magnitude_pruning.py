"""Weights that go while a net trains, the smallest first."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..custom_models import KernelMask, masks_of, set_masks
from ..custom_models.apply_masks import prunable_kernels
from ..custom_models.prune import magnitude_masks


class MagnitudePruning(keras.callbacks.Callback):
    """Prunes the smallest weights by and by, while training goes on.

    Use it to get a sparse net in one training, where `prune` needs several:
    the rest adapts as weights go. Any compiled model will do. While it trains,
    the kernels of its dense, convolutional and recurrent layers have masks,
    constraints that act after each step of the optimizer (see `KernelMask`),
    so that no momentum brings a weight back; what is pruned stays pruned. At
    the end of training the masks are taken off: what is left is a plain model
    with zeros, to be saved like any other. (To train it on, `prune` it again
    by the same share, or make it with `prune(model, 0.0)` from the start:
    masks that a model has stay.)

    Compiled epochs go on; JAX, which compiles masks in, compiles anew each
    time that weights go, so let them go a few times there. Each epoch logs
    the share of zeros as `sparsity`.

    Put it after other callbacks that write weights when training ends. An
    epoch that early stopping keeps should have the final share: pass it
    `start_from_epoch`, the schedule's end. After an average of weights
    (`PolyakAveraging`, `use_ema`) the masks are applied once more.

    Args:
        schedule: Function from the number of an epoch or update, from 0, to
            the share of zeros in `[0, 1)` that it has, such as a
            `PolynomialSparsity`. Where it falls, nothing happens.
        unit: `"epoch"` or `"batch"`: what the schedule counts. By the batch,
            which is one update of the optimizer, `fit_in_memory` hands
            training to plain `fit`. Defaults to `"epoch"`.
        scope: `"layer"`: the same share of each kernel, as in the paper; or
            `"global"`: the smallest weights of all kernels together. Defaults
            to `"layer"`.
        skip: Sequence of strings. The names of layers to leave alone, such as
            the last. Default: none.

    Raises:
        ValueError: If an argument is none of those; when training begins, if
            the model is not built or has no kernels, or a name fits no layer;
            in training, if the schedule returns anything but a share.

    Example:

    >>> from keras_regimen.callbacks import PolynomialSparsity
    >>> layers = [keras.Input((4,)), keras.layers.Dense(4, name="hidden")]
    >>> model = keras.Sequential([*layers, keras.layers.Dense(1, name="last")])
    >>> model.compile("adam", "mse")
    >>> pruning = MagnitudePruning(
    ...     PolynomialSparsity(0.75, begin=1, end=3), skip=["last"]
    ... )
    >>> history = model.fit(
    ...     np.eye(4), np.ones(4), epochs=4, verbose=0, callbacks=[pruning]
    ... )
    >>> history.history["sparsity"]
    [0.0, 0.0, 0.625, 0.75]
    >>> int(np.sum(model.get_weights()[0] == 0))
    12

    Reference:

    - Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of
      pruning for model compression",
      [2017](https://arxiv.org/abs/1710.01878), section 3. The paper updates
      masks by the magnitudes of all weights; a pruned one is 0 here, and
      stays.
    - Han et al., "Learning both Weights and Connections for Efficient Neural
      Networks", [2015](https://arxiv.org/abs/1506.02626).
    """

    def __init__(
        self,
        schedule: Callable[[int], Any],
        unit: str = "epoch",
        scope: str = "layer",
        skip: Sequence[str] = (),
    ):
        super().__init__()
        if not callable(schedule):
            raise ValueError(
                "`schedule` must be a function from a number to a share of "
                "zeros, such as a `PolynomialSparsity`. "
                f"Received: schedule={schedule!r}"
            )
        if unit not in ("epoch", "batch"):
            raise ValueError(
                f'`unit` must be "epoch" or "batch". Received: unit={unit!r}'
            )
        if scope not in ("global", "layer"):
            raise ValueError(
                '`scope` must be "global" or "layer". '
                f"Received: scope={scope!r}"
            )
        if isinstance(skip, str):
            raise ValueError(
                f"`skip` must be a sequence of names. Received: skip={skip!r}"
            )
        self.schedule = schedule
        self.unit = unit
        self.scope = scope
        self.skip = skip
        self._masked: list[keras.Variable] = []
        self._places: list[int] = []
        if unit == "batch":
            # On the instance alone: a class with it would never train in
            # compiled epochs.
            self.on_train_batch_begin = self._on_batch

    def evaluate(self, count: int) -> float:
        """Returns the share of zeros for an epoch or an update.

        Args:
            count: Integer, from 0.

        Returns:
            Float.
        """
        share = float(ops.convert_to_numpy(self.schedule(count)))
        if not 0 <= share < 1:
            raise ValueError(
                "`schedule` must return shares of zeros in [0, 1). Received: "
                f"{share} for {self.unit} {count}"
            )
        return share

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        # What an interrupted `fit` has left.
        self._unmask()
        kernels = prunable_kernels(self.model)
        paths = [kernel.content.path.split("/")[:-1] for kernel in kernels]
        lost = [n for n in self.skip if not any(n in path for path in paths)]
        self._places = [
            i for i, path in enumerate(paths) if not set(self.skip) & set(path)
        ]
        if lost or not self._places:
            raise ValueError(
                "`skip` must name layers with a kernel, and leave one to "
                f"prune. Received: skip={self.skip}"
            )
        for i in self._places:
            kernel = kernels[i].content
            if not isinstance(kernel.constraint, KernelMask):
                with _scope_of(self.model):
                    mask = KernelMask(
                        np.ones(kernel.shape, bool), kernel.constraint
                    )
                kernel.constraint = mask
                self._masked.append(kernel)
        if self._masked:
            # A step that was compiled before has no masks.
            self.model.make_train_function(force=True)

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        if self.unit == "epoch":
            self._prune(epoch)

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if logs is not None:
            logs["sparsity"] = float(
                1 - np.mean(np.concatenate([m.ravel() for m in self._masks()]))
            )

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        # The mean of weights that were not yet zero is not zero.
        self._set(self._masks())
        self._unmask()

    def _on_batch(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        iterations = ops.convert_to_numpy(self.model.optimizer.iterations)
        self._prune(int(iterations))

    def _prune(self, count: int) -> None:
        share = self.evaluate(count)
        kernels = prunable_kernels(self.model)
        kept = self._masks()
        pruned = list(kept)
        places = range(len(kept))
        groups = [places] if self.scope == "global" else [[i] for i in places]
        for group in groups:
            before = [kept[i] for i in group]
            size = sum(mask.size for mask in before)
            if round(share * size) <= size - sum(map(np.sum, before)):
                continue
            values = [
                ops.convert_to_numpy(kernels[self._places[i]].content)
                for i in group
            ]
            smaller = magnitude_masks(values, before, share)
            for i, mask in zip(group, smaller, strict=True):
                pruned[i] = mask
        if any(a is not b for a, b in zip(kept, pruned, strict=True)):
            self._set(pruned)

    def _masks(self) -> list[np.ndarray]:
        masks = masks_of(self.model)
        return [m for m in (masks[i] for i in self._places) if m is not None]

    def _set(self, masks: list[np.ndarray]) -> None:
        found: list[np.ndarray | None] = [None] * len(masks_of(self.model))
        for i, mask in zip(self._places, masks, strict=True):
            found[i] = mask
        set_masks(self.model, found)

    def _unmask(self) -> None:
        for kernel in self._masked:
            kernel.constraint = kernel.constraint.constraint
        if self._masked:
            self.model.make_train_function(force=True)
        self._masked = []


def _scope_of(model: keras.Model) -> Any:
    strategy = getattr(model, "distribute_strategy", None)
    return strategy.scope() if strategy else contextlib.nullcontext()
