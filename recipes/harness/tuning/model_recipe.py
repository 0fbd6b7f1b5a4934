"""A model of one's own, as the harness runs a recipe."""

import functools
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from ..contract.recipe import Arm, FitSettings
from ..refusal import RefusalError

ARM = "model"
DEFAULT_EPOCHS = 10
DEFAULT_BATCH_SIZE = 32
_SMOKE_EPOCHS = 3


class ModelRecipe:
    """What stands for a recipe when a model is searched on its own.

    It has one arm, which fixes nothing, and no claims. Data come as they are,
    and figures of test data are not reported, since nobody asked for any.

    Args:
        model: A `keras_tuner.HyperModel`, or a function `(hp)` or
            `(hp, data)` that returns a compiled model.
        epochs: Optional integer, or function of `hp`.
        batch_size: Optional integer, or function of `hp`.
        callbacks: Callbacks, or a function of `hp` that returns some.
    """

    claims = ()
    arms: Mapping[str, Arm] = {ARM: Arm()}
    takes = target = measure = train = evaluate = None
    reports_test = False

    def __init__(
        self,
        model: Any,
        epochs: Any = None,
        batch_size: Any = None,
        callbacks: Any = (),
    ):
        if inspect.isclass(model):
            model = model()
        if not isinstance(model, keras_tuner.HyperModel) and (
            not callable(model)
        ):
            raise RefusalError(
                "what is searched must be a `keras_tuner.HyperModel`, or a "
                "function of `hp` that returns a compiled model. "
                f"Received: {type(model).__name__}"
            )
        self._model = model
        self._given = {
            name: value
            for name, value in {
                "epochs": epochs,
                "batch_size": batch_size,
            }.items()
            if value is not None
        }
        self._callbacks = callbacks
        own = isinstance(model, keras_tuner.HyperModel) and (
            type(model).fit is not keras_tuner.HyperModel.fit
        )
        self.own_fit: Callable | None = self._fit if own else None

    def at(self, scale: str) -> FitSettings:
        """Returns the fit arguments at a scale."""
        epochs = self._given.get("epochs", DEFAULT_EPOCHS)
        if scale == "smoke" and not callable(epochs):
            epochs = min(epochs, _SMOKE_EPOCHS)
        return FitSettings(
            data={},
            epochs=epochs,
            batch_size=self._given.get("batch_size", DEFAULT_BATCH_SIZE),
            steps_per_epoch=None,
            callbacks=self._callbacks,
            seeds=1,
        )

    def build(self, hp: Any, data: Any) -> keras.Model:
        """Returns the model of these hyperparameters."""
        if isinstance(self._model, keras_tuner.HyperModel):
            return self._model.build(hp)
        wants = inspect.signature(self._model).parameters
        return self._model(hp, data) if len(wants) > 1 else self._model(hp)

    def _fit(
        self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        # A HyperModel may set these itself, so that KerasTuner hands on no
        # more of them than its caller gives; a budget of epochs is given.
        if "epochs" not in self._given and kwargs["epochs"] == DEFAULT_EPOCHS:
            del kwargs["epochs"]
        size = self._given.get("batch_size")
        if size is not None:
            kwargs["batch_size"] = size(hp) if callable(size) else size
        return self._model.fit(hp, model, *args, **kwargs)


def named_recipe(
    name: str, folder: str, epochs: int | None, batch_size: int | None
) -> ModelRecipe:
    """Returns the recipe of `module:HyperModel` or `file.py:HyperModel`.

    Args:
        name: String.
        folder: Where modules and relative files lie.
        epochs: Optional integer.
        batch_size: Optional integer.

    Raises:
        RefusalError: If there is no such module, or nothing of that name.
    """
    place, _, attribute = name.rpartition(":")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        if place.endswith(".py"):
            path = (Path(folder) / Path(place).expanduser()).resolve()
            if str(path.parent) not in sys.path:
                sys.path.insert(0, str(path.parent))
            place = path.stem
        module = importlib.import_module(place)
    except ImportError as error:
        raise RefusalError(
            f"cannot import {name.rpartition(':')[0]!r} from {folder}: {error}"
        ) from error
    try:
        model = functools.reduce(getattr, attribute.split("."), module)
    except AttributeError:
        found = ", ".join(_searchable(module)) or "none"
        raise RefusalError(
            f"{place!r} has no {attribute!r}; HyperModels in it: {found}"
        ) from None
    return ModelRecipe(model, epochs, batch_size)


def source_hash(model: Any) -> str:
    """Returns 16 hexadecimal digits that stand for a model's source.

    The source text of its function or class, and what an instance holds. What
    these call is not followed: name searches apart when that changes.

    Args:
        model: A HyperModel, its class, or a function.
    """
    kept = ""
    if not inspect.isfunction(model) and not inspect.isclass(model):
        # Addresses differ from process to process.
        held = {n: v for n, v in vars(model).items() if n[0] != "_"}
        kept = re.sub(r" at 0x[0-9a-f]+", "", repr(sorted(held.items())))
    kind = model if not kept and callable(model) else type(model)
    try:
        text = inspect.getsource(kind)
    except (OSError, TypeError):
        code = getattr(model, "__code__", None)
        text = repr(code and (code.co_code, code.co_consts)) + repr(kind)
    return hashlib.sha256((text + kept).encode()).hexdigest()[:16]


def module_hash(name: str, folder: str) -> str:
    """Returns 16 hexadecimal digits for the file of `module:HyperModel`.

    Raises:
        RefusalError: If there is no such file.
    """
    place = name.rpartition(":")[0]
    file = Path(place) if place.endswith(".py") else None
    if file is None:
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            found = importlib.util.find_spec(place)
        except (ImportError, ValueError):
            found = None
        if found is None or found.origin is None:
            raise RefusalError(f"cannot find a module {place!r} in {folder}")
        file = Path(found.origin)
    file = Path(folder) / file.expanduser()
    if not file.is_file():
        raise RefusalError(f"there is no file {str(file)!r}")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _searchable(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, keras_tuner.HyperModel)
        and value is not keras_tuner.HyperModel
    ]
