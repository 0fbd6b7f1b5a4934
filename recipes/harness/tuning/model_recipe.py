"""A model of one's own, as the harness runs a recipe."""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from ..contract.recipe import Arm, FitSettings
from ..engine.edited_code import refuse_edited
from ..refusal import RefusalError
from .model_code import module_files, module_hash

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


def given_recipe(
    model: Any,
    epochs: Any,
    batch_size: Any,
    callbacks: Any,
    files: Sequence[Path] = (),
) -> ModelRecipe:
    """Returns the recipe of a model that was handed to a search.

    Args:
        model: As of `ModelRecipe`.
        epochs: As of `ModelRecipe`.
        batch_size: As of `ModelRecipe`.
        callbacks: As of `ModelRecipe`.
        files: What a process that outlives the search must not keep from an
            earlier one.

    Raises:
        RefusalError: If one of the files was edited since it was imported.
    """
    refuse_edited(files)
    return ModelRecipe(model, epochs, batch_size, callbacks)


def named_recipe(
    name: str,
    folder: str,
    epochs: int | None,
    batch_size: int | None,
    code: str | None = None,
) -> ModelRecipe:
    """Returns the recipe of `module:HyperModel` or `file.py:HyperModel`.

    Args:
        name: String.
        folder: Where modules and relative files lie.
        epochs: Optional integer.
        batch_size: Optional integer.
        code: Optional string. The `module_hash` of what is searched.

    Raises:
        RefusalError: If there is no such module, or nothing of that name; if
            it is other code, or was so when this process imported it.
    """
    if code is not None and (found := module_hash(name, folder)) != code:
        raise RefusalError(
            f"{name.rpartition(':')[0]} is not what it was when the search "
            f"began (hash {found}, {code} then): the same command searches "
            "what it is now"
        )
    refuse_edited(module_files(name, folder))
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
        known = ", ".join(_searchable(module)) or "none"
        raise RefusalError(
            f"{place!r} has no {attribute!r}; HyperModels in it: {known}"
        ) from None
    return ModelRecipe(model, epochs, batch_size)


def _searchable(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, keras_tuner.HyperModel)
        and value is not keras_tuner.HyperModel
    ]
