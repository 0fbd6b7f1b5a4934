"""The search of a model of one's own, from Python or by its name."""

import functools
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..datasets.cache import tfds_directory
from ..engine.cell import digest
from ..engine.computation import Computation
from ..engine.engine import Engine
from ..evidence.evidence import Evidence
from ..quiet_import import import_keras
from ..refusal import RefusalError
from .found import Search
from .model_code import module_hash, source_files, source_hash
from .search import check_options, run_search


def search(
    build: Any,
    data: Any,
    *,
    name: str | None = None,
    epochs: Any = None,
    batch_size: Any = None,
    callbacks: Any = (),
    settings: Mapping[str, Any] | None = None,
    scale: str = "cpu",
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    computation: Computation | None = None,
    out: Path | str | None = None,
    data_dir: Path | None = None,
    **options: Any,
) -> Search:
    """Searches the hyperparameters of a model of one's own.

    Use it in a script or a notebook, with a function or a
    `keras_tuner.HyperModel` as KerasTuner takes it; a HyperModel's own `fit`
    is called as KerasTuner calls it. Every run is seeded and kept as a row of
    `<name>.search.jsonl`, and the same call goes on where it was stopped.

    Args:
        build: A function `(hp)` or `(hp, data)` that returns a compiled
            model, or a `keras_tuner.HyperModel`.
        data: `(x, y)`, whose last fifth then validates, `((x, y), (x_val,
            y_val))`, a function `seed -> Splits`, or what `--data` takes.
        name: String. What the rows go by; by default the name of `build`.
        epochs: Integer, or a function of `hp`. Defaults to 10; a HyperModel
            with its own `fit` decides by itself.
        batch_size: Integer, or a function of `hp`. Defaults to 32.
        callbacks: List, or a function of `hp` that returns one.
        settings: Hyperparameters that are not searched, by name.
        scale: `"cpu"`, or `"smoke"` for three epochs.
        workers: Integer. Processes of one core each, 0 for this one.
            Defaults to one a core.
        cluster: The address of a Dask scheduler whose workers are used. Data
            is then named, or a function.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        computation: Optional `Computation`: strategy over several devices,
            precision, XLA, determinism.
        out: Folder of the rows. Defaults to `regimen-evidence`.
        data_dir: Where TensorFlow Datasets are.
        **options: As of the command `regimen tune`: `tuner`, `trials`,
            `seeds`, `rerun`, `seed`, `objective`, `median_rule`, and a
            `reporter`.

    Returns:
        A `Search`, with `best`, `executions` and `to_csv()`.

    Raises:
        RefusalError: If an argument is none of these, or the model cannot be
            built and fitted with its defaults.

    Example:

    ```python
    found = search(build, (x, y), tuner="bayesian", trials=30, epochs=20)
    model = build(found.best_hyperparameters)
    ```
    """
    import_keras()
    from .model_recipe import ModelRecipe, given_recipe

    ModelRecipe(build)  # Refuses what is no model.
    make = functools.partial(
        given_recipe,
        build,
        epochs,
        batch_size,
        callbacks,
        # Workers of one's own begin with the search, those of a cluster not.
        source_files(build) if cluster is not None else (),
    )
    name = name or _name_of(build)
    code = _code(source_hash(build), epochs, batch_size, callbacks)
    return search_model(
        make,
        name,
        code,
        data,
        settings=settings,
        scale=scale,
        workers=workers,
        cluster=cluster,
        backend=backend,
        computation=computation,
        out=Path(out) if out is not None else None,
        data_dir=data_dir,
        called=_called(None, epochs, batch_size),
        **options,
    )


def search_named(
    model: str,
    data: str,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Search:
    """Searches `module:HyperModel`, as `search` does.

    Args:
        model: String, such as `"my_project.models:Classifier"` or
            `"models.py:Classifier"`.
        data: String. What `--data` takes.
        epochs: Optional integer.
        batch_size: Optional integer.
        **options: As of `search`.
    """
    check_options(**options)
    import_keras()
    from .model_recipe import named_recipe

    folder = str(Path.cwd())
    source = module_hash(model, folder)
    make = functools.partial(
        named_recipe, model, folder, epochs, batch_size, source
    )
    code = _code(source, epochs, batch_size, ())
    name = model.rpartition(":")[2].lower()
    called = _called(model, epochs, batch_size)
    return search_model(make, name, code, data, called=called, **options)


def search_model(
    make: Callable[[], Any],
    name: str,
    code: str,
    data: Any,
    *,
    settings: Mapping[str, Any] | None = None,
    scale: str = "cpu",
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    computation: Computation | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    **options: Any,
) -> Search:
    """Runs the search of a model that `make` wraps as a recipe."""
    from .given_data import as_splits, on_disk

    check_options(**options)
    folder = out or Path("regimen-evidence")
    evidence = Evidence(folder / f"{name}.search.jsonl")
    evidence.check_writable()
    with ExitStack() as stack:
        word, source = "", None
        if isinstance(data, str):
            word = data
        elif callable(data):
            word, source = getattr(data, "__name__", "data"), data
        else:
            splits = as_splits(data)
            if cluster is not None:
                raise RefusalError(
                    "arrays are not sent to a cluster: give a function of a "
                    "seed, or a name of data that its workers can read"
                )
            word = f"arrays@{splits.fingerprint[:8]}"
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            source = on_disk(splits, Path(scratch))
        engine = stack.enter_context(
            Engine(workers, cluster, backend, computation)
        )
        from .model_plan import make_model_plan

        plan = engine.call(
            make_model_plan,
            make,
            name,
            code,
            scale=scale,
            data=word,
            source=source,
            folder=Path.cwd(),
            data_dir=data_dir or tfds_directory(),
            settings=dict(settings or {}),
            computation=engine.computation,
        )
        return run_search(engine, plan, evidence, **options)


def _called(model: str | None, epochs: Any, batch_size: Any) -> dict[str, Any]:
    """Returns what a page says of a call: names and numbers alone."""
    given = {"model": model, "epochs": epochs, "batch_size": batch_size}
    return {n: v for n, v in given.items() if isinstance(v, int | str)}


def _name_of(build: Any) -> str:
    kind = build if hasattr(build, "__name__") else type(build)
    return kind.__name__.strip("<>").lower()


def _code(source: str, *arguments: Any) -> str:
    def told(argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [told(part) for part in argument]
        plain = argument is None or isinstance(argument, int | float | str)
        return argument if plain else source_hash(argument)

    return digest([source, told(arguments)])
