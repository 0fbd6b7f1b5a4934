"""Models trained on bootstrap samples, which vote."""

import builtins
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ._bag_member import Job, Result, built, out_of, outputs_of, trained

_TARGETS = ("classes", "binary", "real")
_SETTINGS = "bagging_ensemble.json"


class BaggingEnsemble:
    """Members that are trained on bootstrap samples of the data, and vote.

    Use it where a model varies much with the rows and the initial weights that
    it was given. Each member sees as many rows as there are, drawn with
    replacement: about 63 % of them, some several times. The rest, its
    out-of-bag rows, tell how it does on rows that it did not see, so the
    ensemble has a test score without test data. For neural nets the random
    start alone makes members differ; `bootstrap=False` is that ensemble, whose
    members see all rows: the control to compare a bag with.

    It is no `keras.Model`, because its members are trained one by one, or in
    parallel by a `map` of yours; `to_model()` makes one of it. Members are
    trained by `fit_in_memory`, in an order of rows that their seed decides.
    Weights of samples go with the rows that were drawn.

    Args:
        build: Function `seed -> model` that returns a compiled model, for
            `target="classes"` with softmax outputs, for `"binary"` with one
            sigmoid output. Different seeds should give different initial
            weights, and a seed always the same:
            `keras.utils.set_random_seed(seed)` in its first line sees to that
            (with a `map` of threads, give the seed to the initializers). A
            `map` of processes needs a function of a module.
        num_members: Integer, 1 or more. Defaults to 10.
        bootstrap: Boolean. Whether a member sees a bootstrap sample, or all
            rows. Defaults to `True`.
        target: `"classes"` (integer or one-hot labels), `"binary"` (0 or 1) or
            `"real"`. Decides how votes are counted and what `oob_score` is.
        seed: Optional integer, 0 or more. By default a random one, kept as the
            attribute `seed`.
        map: Function `(function, jobs) -> results`, in the order of the jobs,
            such as `ProcessPoolExecutor().map`, or on a Dask cluster
            `lambda f, jobs: client.gather(client.map(f, list(jobs)))`.
            Defaults to Python's own.

    Attributes:
        members: List of `keras.Model`s, not compiled; empty before `fit`.
        bags: List of integer arrays, the rows that each member was trained on.
        oob_predictions: Array of soft votes for the training rows, each by the
            members that did not see it; NaN where there is none. `None`
            without `bootstrap`.
        oob_score: Float: their accuracy, or the coefficient of determination
            where targets are real, over rows that have such votes.

    Raises:
        ValueError: If an argument is not as said above, `build` returns no
            compiled model, outputs are no probabilities where they should be,
            or something is asked of an ensemble that was not fitted.

    Example:

    >>> def build(seed):
    ...     keras.utils.set_random_seed(seed)
    ...     model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> ensemble = BaggingEnsemble(build, 2, target="real", seed=0)
    >>> histories = ensemble.fit(x, 2 * x, epochs=3)
    >>> ensemble.predict(x).shape, len(ensemble.bags[0])
    ((20, 1), 20)
    >>> len(ensemble.to_model().layers)
    4

    Reference:

    - Breiman, 1996, "Bagging predictors"
      (https://doi.org/10.1007/BF00058655), who lets members vote, and tries
      the mean of their probabilities, too.
    - The ensemble without bootstrap is that of
      [Lee et al., 2015](https://arxiv.org/abs/1511.06314).
    """

    def __init__(
        self,
        build: Callable[[int], keras.Model] | None,
        num_members: int = 10,
        bootstrap: bool = True,
        target: str = "classes",
        seed: int | None = None,
        map: Callable[..., Iterable] = builtins.map,  # noqa: A002
    ):
        for name, function in (("build", build), ("map", map)):
            if not callable(function) and (name, function) != ("build", None):
                raise ValueError(
                    f"`{name}` must be a function. Received: {name}={function}"
                )
        if not _is_whole(num_members) or num_members < 1:
            raise ValueError(
                "`num_members` must be a whole number of at least 1. "
                f"Received: num_members={num_members}"
            )
        if not isinstance(bootstrap, bool):
            raise ValueError(
                f"`bootstrap` must be a boolean. Received: {bootstrap=}"
            )
        if target not in _TARGETS:
            raise ValueError(
                f"`target` must be one of {', '.join(_TARGETS)}. "
                f"Received: target={target}"
            )
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        if not _is_whole(seed) or seed < 0:
            raise ValueError(
                "`seed` must be a whole number of at least 0. "
                f"Received: seed={seed}"
            )
        self.build = build
        self.num_members = num_members
        self.bootstrap = bootstrap
        self.target = target
        self.seed = int(seed)
        self.map = map
        self.members: list[keras.Model] = []
        self.bags: list[np.ndarray] = []
        self.oob_predictions: np.ndarray | None = None
        self.oob_score: float | None = None

    def fit(
        self, x: Any, y: Any, sample_weight: Any = None, **arguments: Any
    ) -> list[dict[str, list[float]]]:
        """Trains all members anew.

        Args:
            x: Input array, or a list, tuple or dictionary of them.
            y: Target array.
            sample_weight: Optional array of shape `(samples,)`.
            **arguments: More arguments of `fit_in_memory`, such as `epochs`
                and `batch_size`; `shuffle` is the ensemble's. `verbose` is 0
                by default.

        Returns:
            The members' histories, dictionaries of lists by name.
        """
        if self.build is None:
            raise ValueError(
                "An ensemble that was loaded without `build` cannot be "
                "trained: give it to `load`."
            )
        data = tree.map_structure(
            lambda a: None if a is None else np.array(ops.convert_to_numpy(a)),
            (x, y, sample_weight),
        )
        lengths = {len(a) for a in tree.flatten(data) if a is not None}
        if len(lengths) != 1 or not min(lengths):
            raise ValueError(
                "`x`, `y` and `sample_weight` must hold the same number of "
                f"samples, at least 1. Received: {sorted(lengths)}"
            )
        (samples,) = lengths
        # Half of 32 bits: seeds are signed on some backends.
        states = np.random.SeedSequence(self.seed).generate_state(
            self.num_members
        )
        seeds = [int(state >> 1) for state in states]
        self.bags = [self._bag(seed, samples) for seed in seeds]
        inputs, targets, weights = data
        options = {"verbose": 0, **arguments}
        jobs = [
            Job(self.build, seed, bag, inputs, targets, weights, options)
            for seed, bag in zip(seeds, self.bags, strict=True)
        ]
        results: list[Result] = list(self.map(trained, jobs))
        if len(results) != self.num_members:
            raise ValueError(
                "`map` must return a result for each job, in their order. "
                f"Received: {len(results)} for {self.num_members} jobs"
            )
        one = tree.map_structure(lambda a: a[:1], inputs)
        self.members = []
        for index, (job, result) in enumerate(zip(jobs, results, strict=True)):
            member = built(job, one)
            member.set_weights(result.weights)
            member.name = f"member_{index}"
            # An optimizer without its state makes a file that cannot be read.
            member.optimizer, member.compiled = None, False
            self.members.append(member)
        self._like = tree.map_structure(_tensor_like, inputs)
        self.oob_predictions = self.oob_score = None
        if self.bootstrap:
            self._judge_out_of_bag(results, targets, weights)
        return [result.history for result in results]

    def predict(
        self, x: Any, vote: str = "soft", batch_size: int = 1024
    ) -> np.ndarray:
        """Returns what the members predict together.

        Args:
            x: Inputs, as for `fit`.
            vote: `"soft"`, the mean of the members' outputs, or `"hard"`, the
                share of the members that vote for a class (for the one class
                of a binary target, those above one half). The largest share
                is the majority's class; of two that are equal NumPy's
                `argmax` takes the first.
            batch_size: Integer, 1 or more. Rows per call of a member.

        Returns:
            Array of shape `(samples, ...)`, as the members' outputs are.
        """
        return self._vote(self.predict_each(x, batch_size), vote)

    def predict_each(self, x: Any, batch_size: int = 1024) -> np.ndarray:
        """Returns the members' outputs, of shape `(members, samples, ...)`."""
        self._refuse_unfitted()
        x = tree.map_structure(lambda a: np.array(ops.convert_to_numpy(a)), x)
        outputs = [outputs_of(member, x, batch_size) for member in self.members]
        return np.stack(outputs)

    def to_model(self) -> keras.Model:
        """Returns one functional model, the mean of the members' outputs.

        It shares their weights, is not compiled, and is saved, exported and
        loaded without this library.
        """
        self._refuse_unfitted()
        inputs: Any
        if isinstance(self._like, dict):
            inputs = {k: _input(t, k) for k, t in self._like.items()}
        else:
            inputs = tree.map_structure(_input, self._like)
        outputs = [member(inputs) for member in self.members]
        if len(outputs) > 1:
            outputs = [keras.layers.Average(name="mean")(outputs)]
        return keras.Model(inputs, outputs[0], name="bagging_ensemble")

    def save(self, path: str | os.PathLike) -> None:
        """Writes members and settings to one `.keras` file.

        It is that of `to_model()`, with the settings added, so that
        `keras.saving.load_model` reads it, too. Bags and out-of-bag
        predictions are not saved, their score is.
        """
        self.to_model().save(path)
        settings = {
            "num_members": self.num_members,
            "bootstrap": self.bootstrap,
            "target": self.target,
            "seed": self.seed,
            "oob_score": self.oob_score,
        }
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_SETTINGS, json.dumps(settings))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        build: Callable[[int], keras.Model] | None = None,
        map: Callable[..., Iterable] = builtins.map,  # noqa: A002
        **options: Any,
    ) -> "BaggingEnsemble":
        """Reads what `save` wrote.

        Args:
            path: The file.
            build: As for the constructor; needed only to `fit` again.
            map: As for the constructor.
            **options: Passed to `keras.saving.load_model`, such as
                `custom_objects`.

        Returns:
            A `BaggingEnsemble` that predicts the same.
        """
        with zipfile.ZipFile(path) as archive:
            if _SETTINGS not in archive.namelist():
                raise ValueError(
                    "The file must be one that `BaggingEnsemble.save` wrote. "
                    f"Received: path={path}"
                )
            settings = json.loads(archive.read(_SETTINGS))
        score = settings.pop("oob_score")
        ensemble = cls(build, map=map, **settings)
        model = keras.saving.load_model(path, **options)
        ensemble.members = [
            model.get_layer(f"member_{index}")
            for index in range(ensemble.num_members)
        ]
        ensemble._like = model.input
        ensemble.oob_score = score
        return ensemble

    def _bag(self, seed: int, samples: int) -> np.ndarray:
        if not self.bootstrap:
            return np.arange(samples)
        return np.random.default_rng(seed).integers(0, samples, samples)

    def _refuse_unfitted(self) -> None:
        if not self.members:
            raise ValueError("The ensemble has no members yet: call `fit`.")

    def _vote(self, outputs: np.ndarray, vote: str) -> np.ndarray:
        if vote not in ("soft", "hard"):
            raise ValueError(
                f"`vote` must be 'soft' or 'hard'. Received: vote={vote}"
            )
        self._check_probabilities(outputs)
        if vote == "soft":
            return outputs.mean(axis=0)
        if self.target == "real":
            raise ValueError(
                "A hard vote is among classes, and targets are real. "
                "Received: vote=hard"
            )
        if self.target == "binary":
            return (outputs > 0.5).mean(axis=0, dtype="float32")
        classes = np.arange(outputs.shape[-1])
        chosen = outputs.argmax(axis=-1)[..., None] == classes
        return chosen.mean(axis=0, dtype="float32")

    def _check_probabilities(self, outputs: np.ndarray) -> None:
        if self.target == "real":
            return
        low, high = outputs.min(initial=0.0), outputs.max(initial=1.0)
        sums = outputs.sum(axis=-1) if self.target == "classes" else 1.0
        # Half-precision probabilities add up to 1 within a hundredth.
        if low < -0.01 or high > 1.01 or np.any(np.abs(sums - 1.0) > 0.02):
            activation = "softmax" if self.target == "classes" else "sigmoid"
            raise ValueError(
                f"With target='{self.target}' the members' outputs must be "
                f"probabilities: end the model with a {activation}. Received: "
                f"outputs between {low:.3g} and {high:.3g}"
            )

    def _judge_out_of_bag(
        self,
        results: list[Result],
        y: np.ndarray,
        sample_weight: np.ndarray | None,
    ) -> None:
        total: Any = 0.0
        votes = np.zeros(len(y))
        for bag, result in zip(self.bags, results, strict=True):
            if result.unseen is None:
                continue
            self._check_probabilities(result.unseen)
            sums = np.zeros((len(y), *result.unseen.shape[1:]))
            rows = out_of(bag)
            sums[rows] = result.unseen
            total = total + sums
            votes[rows] += 1
        voted = votes > 0
        if not voted.any():
            return  # A row or two, which every bag holds.
        mean = np.full(total.shape, np.nan)
        mean[voted] = (total[voted].T / votes[voted]).T
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        self.oob_predictions = mean
        self.oob_score = _score(
            self.target, mean[voted], y[voted], weights[voted]
        )


def _tensor_like(array: np.ndarray) -> keras.KerasTensor:
    is_float = array.dtype.kind == "f"
    dtype = keras.config.floatx() if is_float else array.dtype.name
    return keras.KerasTensor((None, *array.shape[1:]), dtype)


def _input(tensor: keras.KerasTensor, name: str | None = None) -> Any:
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def _score(
    target: str, found: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> float:
    """Returns the accuracy, or the coefficient of determination."""
    if target == "real":
        y = y.reshape(found.shape)
        mean = np.average(y, axis=0, weights=weights)
        left = np.average((y - found) ** 2, axis=0, weights=weights)
        there = np.average((y - mean) ** 2, axis=0, weights=weights)
        return float(np.mean(1 - left / there))
    if target == "binary":
        right = (found > 0.5) == (y.reshape(found.shape) > 0.5)
    else:
        if y.shape == found.shape:
            y = y.argmax(axis=-1)
        right = found.argmax(axis=-1) == y.reshape(found.shape[:-1])
    # A mean over time steps or outputs, if there are any.
    each = right.reshape(len(right), -1).mean(axis=1)
    return float(np.average(each, weights=weights))


def _is_whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)
