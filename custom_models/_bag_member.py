"""The training of one member of an ensemble, in this process or another."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops, tree

from ._plain_fit import plain_fit
from .fit_in_memory import fit_in_memory
from .why_plain_fit import why_plain_fit


class Job(NamedTuple):
    """What a worker needs to train one member."""

    build: Callable[[int], keras.Model]
    seed: int
    bag: np.ndarray
    x: Any
    y: np.ndarray
    sample_weight: np.ndarray | None
    arguments: dict[str, Any]


class Result(NamedTuple):
    """What comes back: numbers alone."""

    weights: list[np.ndarray]
    unseen: np.ndarray | None  # Outputs for the out-of-bag rows.
    history: dict[str, list[float]]


def trained(job: Job) -> Result:
    """Trains one member: a function that other processes can import."""

    def take(rows):
        parts = (job.x, job.y, job.sample_weight)
        return tree.map_structure(lambda a: a if a is None else a[rows], parts)

    x, y, sample_weight = take(job.bag)
    model = built(job, tree.map_structure(lambda a: a[:1], x))
    arguments = {
        "sample_weight": sample_weight,
        "shuffle": np.random.default_rng([job.seed, 1]),
        **job.arguments,
    }
    if why_plain_fit(model, x, y, **arguments) is None:
        history = fit_in_memory(model, x, y, **arguments)
    else:
        # What `fit_in_memory` would do, without its warning for each member.
        bound = inspect.signature(fit_in_memory).bind(model, x, y, **arguments)
        bound.apply_defaults()
        del bound.arguments["model"]
        history = plain_fit(model, dict(bound.arguments))
    rows = out_of(job.bag)
    unseen = outputs_of(model, take(rows)[0], 1024) if len(rows) else None
    weights = [np.array(weight) for weight in model.get_weights()]
    return Result(weights, unseen, history.history)


def built(job: Job, one: Any) -> keras.Model:
    """Returns the model of a job, with its initial weights."""
    model = job.build(job.seed)
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ValueError(
            f"`build` must return a compiled `keras.Model`. Received: {model}"
        )
    if not model.built:
        model(one)
    return model


def out_of(bag: np.ndarray) -> np.ndarray:
    """Returns the rows that a bag does not hold."""
    return np.setdiff1d(np.arange(len(bag)), bag)


def outputs_of(model: keras.Model, x: Any, batch_size: int) -> np.ndarray:
    """Returns a model's outputs at inference."""
    # Called as it is: `predict` would compile a function for each member.
    samples = len(tree.flatten(x)[0])
    parts = []
    # One call at least, so that no rows give an array of the right shape.
    for start in range(0, max(samples, 1), batch_size):
        rows = slice(start, start + batch_size)
        batch = tree.map_structure(lambda a, rows=rows: a[rows], x)
        outputs = model(batch, training=False)
        if tree.is_nested(outputs):
            raise ValueError(
                "The members of an ensemble must have one output. "
                f"Received: {len(outputs)} of {model}"
            )
        parts.append(np.array(ops.convert_to_numpy(outputs), "float32"))
    return np.concatenate(parts)
