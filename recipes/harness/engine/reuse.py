"""A compiled epoch, used again for an arm's other seeds."""

import json
from collections import OrderedDict

import keras
import numpy as np
from keras.src.backend.common import global_state

from ....custom_models.why_plain_fit import why_plain_fit
from ..contract.hyperparameters import HyperParameters
from .cell import Cell, digest
from .fitting import AnySplits
from .kernel_cache import random_state_is_held

# Models whose compiled epoch waits for the next seed, the latest last.
_compiled: OrderedDict[str, keras.Model] = OrderedDict()
_MOST_COMPILED = 24


def reuse(
    model: keras.Model, hp: HyperParameters, cell: Cell, splits: AnySplits
) -> tuple[keras.Model, bool]:
    """Returns the model to train: an earlier seed's, in the new one's state.

    Its compiled epoch is what is reused. Whatever was compiled in, such as a
    dropout rate, stands in the key: after the trace it would be ignored.
    """
    if splits.streamed or why_plain_fit(model, *splits.train) is not None:
        return model, False
    if random_state_is_held():
        return model, False
    try:
        key = digest(
            [
                cell.code,
                cell.data,
                cell.scale,
                cell.computation,
                hp.resolved(),
                [np.shape(x) for x in (*splits.train, *splits.validation)],
                json.loads(model.to_json()),
                model.get_compile_config(),
            ]
        )
    except Exception:
        # A model that cannot say what it is cannot be recognized.
        return model, False
    known = _compiled.pop(key, None)
    reused = known is not None and _load_state(known, model)
    _compiled[key] = known if reused else model
    if len(_compiled) > _MOST_COMPILED:
        _compiled.popitem(last=False)
    return _compiled[key], reused


def forget_unseeded(model: keras.Model) -> None:
    """Forgets a model that drew from Keras' global stream of seeds.

    The stream of the first seed is compiled in, and goes on in the others.
    To be called after `set_random_seed` and training.
    """
    if drew_unseeded():
        for key in [k for k, kept in _compiled.items() if kept is model]:
            del _compiled[key]


def drew_unseeded() -> bool:
    """Whether something drew from Keras' global stream of seeds.

    To be called after `set_random_seed` and training.
    """
    # Private: whether a draw without a seed has made the stream.
    name = "global_seed_generator"
    return global_state.get_global_attribute(name) is not None


def _load_state(model: keras.Model, fresh: keras.Model) -> bool:
    fresh.optimizer.build(fresh.trainable_variables)
    pairs = list(zip(model.variables, fresh.variables, strict=False))
    pairs += zip(
        model.optimizer.variables, fresh.optimizer.variables, strict=False
    )
    sizes = [
        len(m.variables) + len(m.optimizer.variables) for m in (model, fresh)
    ]
    if sizes[0] != sizes[1] or any(a.shape != b.shape for a, b in pairs):
        return False
    for mine, theirs in pairs:
        mine.assign(theirs)
    model.reset_metrics()
    model.stop_training = False
    return True
