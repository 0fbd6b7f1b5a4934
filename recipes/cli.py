"""The `regimen` command.

Nothing that needs Keras is imported before a command asks for it: `--help`,
`list` and `status` read sources and rows, and answer within a second.
"""

import ast
import functools
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
except ModuleNotFoundError as error:
    print(
        f"regimen needs {error.name}: pip install 'keras-regimen[recipes]'",
        file=sys.stderr,
    )
    raise SystemExit(2) from None

from .harness.refusal import RefusalError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Runs recipes: baseline and technique over paired seeds, to a "
    "tested verdict.",
)


class Scale(StrEnum):
    """How much a cell may cost."""

    smoke = "smoke"
    cpu = "cpu"
    gpu = "gpu"
    full = "full"


class Backend(StrEnum):
    """What Keras computes with."""

    tensorflow = "tensorflow"
    jax = "jax"
    torch = "torch"


class MarkdownTable(StrEnum):
    """A table that a page of the repository holds."""

    headlines = "headlines"
    claims = "claims"


Names = Annotated[
    list[str] | None,
    typer.Argument(help="Recipe names, or paths of recipe files."),
]
OneName = Annotated[str, typer.Argument(help="A recipe's name or file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ScaleOption = Annotated[Scale, typer.Option(help="How much a cell may cost.")]
Data = Annotated[
    str | None,
    typer.Option(
        help="The recipe's own data by name, a bundled set, file.csv:target, a "
        "folder of images by class, an .npz with x and y, or a TFDS name."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where TFDS data lie. Default: TFDS_DATA_DIR."),
]
Arms = Annotated[
    list[str] | None, typer.Option("--arm", help="Only this arm (repeatable).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value for every arm (repeatable)."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes; 0: in this one. Default: one a GPU, else one a core."
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(help="Run on a Dask cluster, such as tcp://host:8786."),
]
BackendOption = Annotated[
    Backend | None,
    typer.Option(help="Keras' backend. Default: KERAS_BACKEND, or tensorflow."),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        help="Share each batch over devices: mirrored (TensorFlow) or "
        "data_parallel (JAX)."
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        help="Devices of a strategy. Default: all GPUs; without one, two "
        "virtual devices on the CPU."
    ),
]
Precision = Annotated[
    str, typer.Option(help="float32, mixed_float16 or mixed_bfloat16.")
]
Jit = Annotated[
    bool | None,
    typer.Option(help="Compile by XLA, or not; Keras decides by default."),
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="The same to the bit on a GPU, too."),
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for evidence, used alone.")
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; exits 0, 1 (a cell failed) or 2 (wrong usage)."""
    app(args=None if arguments is None else list(arguments))


def _plainly(command: Callable) -> Callable:
    """Turns a refusal into a sentence, and Ctrl-C into how to go on."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except RefusalError as refusal:
            print(f"regimen: {refusal}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print(
                "\nregimen: interrupted; finished cells are kept, the same "
                "command goes on from here",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None

    return run


@app.command("list")
@_plainly
def list_recipes(
    names: Names = None,
    as_json: Json = False,
    markdown: Annotated[
        MarkdownTable | None,
        typer.Option(help="Print the table of the README, or of all claims."),
    ] = None,
) -> None:
    """Lists the recipes, each with its headline claim and verdict."""
    from .harness.evidence import catalogue, discovery, evidence
    from .harness.terminal import console, listing

    chosen = [catalogue.entry(discovery.find(name)) for name in names or ()]
    entries = chosen or catalogue.entries()
    if as_json:
        _print_json(evidence.finite([e.to_json() for e in entries]))
    elif markdown is MarkdownTable.headlines:
        console.write(listing.headlines(entries))
    elif markdown is MarkdownTable.claims:
        console.write(listing.every_claim(entries))
    else:
        console.show(listing.recipes(entries))


@app.command()
@_plainly
def new(
    name: Annotated[str, typer.Argument(help="The file's name, without .py.")],
    to: Annotated[
        Path, typer.Option(help="Folder for the file; made if missing.")
    ] = Path(),
) -> None:
    """Writes a recipe that runs as it is, to be made your own."""
    from .harness.new_recipe import new_recipe, next_steps
    from .harness.terminal import console

    console.write(next_steps(new_recipe(name, to)))


@app.command()
@_plainly
def status(names: Names = None, out: Out = None, as_json: Json = False) -> None:
    """Counts the rows of each recipe: finished, failed, stale, broken."""
    from .harness.evidence import catalogue, discovery
    from .harness.terminal import console, listing

    names = names or list(discovery.shipped())
    states = [catalogue.health(discovery.find(n), out) for n in names]
    if as_json:
        _print_json([state.to_json() for state in states])
    else:
        console.show(listing.states(states))
    for problem in [p for state in states for p in state.problems]:
        print(f"regimen: {problem}", file=sys.stderr)
    if any(state.problems for state in states):
        raise typer.Exit(2)


@app.command()
@_plainly
def run(
    names: Names = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every recipe of the package.")
    ] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Those without a current verdict.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds per arm; the recipe's own.")
    ] = None,
    scale: ScaleOption = Scale.cpu,
    data: Data = None,
    data_dir: DataDir = None,
    arm: Arms = None,
    set_: Set = None,
    workers: Workers = None,
    cluster: Cluster = None,
    backend: BackendOption = None,
    strategy: Strategy = None,
    devices: Devices = None,
    precision: Precision = "float32",
    jit: Jit = None,
    deterministic: Deterministic = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed cells again.")
    ] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Runs recipes to their verdicts; finished cells are not run again."""
    from .harness.engine.computation import Computation
    from .harness.evidence.evidence import finite
    from .harness.run import run_recipe
    from .harness.terminal import console

    computation = Computation(strategy, devices, precision, jit, deterministic)
    failed = False
    for file in _chosen(names, every, stale):
        with _progress(quiet=as_json) as reporter:
            result = run_recipe(
                file,
                seeds=seeds,
                scale=scale.value,
                arms=arm or (),
                data=data,
                data_dir=data_dir,
                settings=_settings(set_),
                workers=workers,
                cluster=cluster,
                backend=backend and backend.value,
                computation=computation,
                retry_failed=retry_failed,
                out=out,
                reporter=reporter,
            )
        if as_json:
            _print_json(finite(result.to_json()))
        else:
            from .harness.terminal.terminal import view

            console.show(view(result))
        failed = failed or bool(result.failed)
    if failed:
        raise typer.Exit(1)


@app.command()
@_plainly
def tune(
    name: Annotated[
        str,
        typer.Argument(
            help="A recipe, its file, or module:HyperModel of your own."
        ),
    ],
    tuner: Annotated[
        str, typer.Option(help="random, grid, bayesian or hyperband.")
    ] = "random",
    trials: Annotated[int, typer.Option(help="Trials of each arm.")] = 10,
    seeds: Annotated[int, typer.Option(help="Runs of each trial.")] = 1,
    rerun: Annotated[
        int, typer.Option(help="Fresh seeds for each arm's best.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="The search's own seed.")] = 0,
    objective: Annotated[
        str | None,
        typer.Option(
            help="Validation figure, such as val_error or max:val_f1; the "
            "headline claim's own."
        ),
    ] = None,
    median_rule: Annotated[
        bool,
        typer.Option(
            "--median-rule",
            help="End runs that are worse than half of the finished ones.",
        ),
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Of a HyperModel; 10 by default.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Of a HyperModel; 32 by default.")
    ] = None,
    scale: ScaleOption = Scale.cpu,
    data: Data = None,
    data_dir: DataDir = None,
    arm: Arms = None,
    set_: Set = None,
    workers: Workers = None,
    cluster: Cluster = None,
    backend: BackendOption = None,
    strategy: Strategy = None,
    devices: Devices = None,
    precision: Precision = "float32",
    jit: Jit = None,
    deterministic: Deterministic = False,
    out: Out = None,
    to_csv: Annotated[
        Path | None,
        typer.Option("--csv", help="File for a table of all executions."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Searches hyperparameters: each arm's with the same budget, or a model's.

    The same command goes on where a search was stopped.
    """
    from .harness.engine.computation import Computation
    from .harness.evidence import discovery
    from .harness.evidence.evidence import finite
    from .harness.terminal import console, listing
    from .harness.terminal.search_progress import SearchProgress
    from .harness.tuning import search_named, search_recipe

    options: dict[str, Any] = {
        "tuner": tuner,
        "trials": trials,
        "seeds": seeds,
        "rerun": rerun,
        "seed": seed,
        "objective": objective,
        "median_rule": median_rule,
        "scale": scale.value,
        "data_dir": data_dir,
        "settings": _settings(set_),
        "workers": workers,
        "cluster": cluster,
        "backend": backend and backend.value,
        "computation": Computation(
            strategy, devices, precision, jit, deterministic
        ),
        "out": out,
    }
    with SearchProgress(quiet=as_json) as reporter:
        options["reporter"] = reporter
        if _names_a_model(name):
            if data is None:
                raise RefusalError(f"give --data: what is {name} trained on?")
            if arm:
                raise RefusalError(f"a HyperModel has no arms. Received: {arm}")
            found = search_named(
                name, data, epochs=epochs, batch_size=batch_size, **options
            )
        else:
            if epochs is not None or batch_size is not None:
                raise RefusalError(
                    "--epochs and --batch-size are a HyperModel's; a recipe "
                    "declares its own"
                )
            found = search_recipe(
                discovery.find(name), data=data, arms=arm or (), **options
            )
    if to_csv is not None:
        to_csv.write_text(found.to_csv(), "utf-8")
    if as_json:
        _print_json(finite(found.to_json()))
    else:
        console.show(listing.search(found))
        if not found.of_recipe:
            rows = f" --out {shlex.quote(str(out))}" if out else ""
            console.write(f"plots: regimen report {shlex.quote(name)}{rows}")
    if not found.succeeded:
        raise typer.Exit(1)


@app.command()
@_plainly
def report(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recipe names, or paths of recipe files; of a model's search "
            "its name, or what tune was told. Default: all there are."
        ),
    ] = None,
    out: Out = None,
    to: Annotated[
        Path, typer.Option(help="Folder that the pages are written to.")
    ] = Path("regimen-report"),
) -> None:
    """Writes pages for a browser: what came out, with plots, and an index."""
    from .harness.report.named import named
    from .harness.report.site import write_site

    files, searches = named(names or (), out)
    index, *pages = write_site(files, to, out, searches)
    count = f"{len(pages)} page{'' if len(pages) == 1 else 's'}"
    print(f"{count} and an index: {index}")


@app.command()
@_plainly
def reproduce(
    row: Annotated[
        str,
        typer.Argument(help="A cell's id or its beginning, or RECIPE:ID."),
    ],
    data: Data = None,
    data_dir: DataDir = None,
    backend: BackendOption = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Runs the cell of a row again, and compares the two to the bit."""
    from .harness.evidence.evidence import finite
    from .harness.reproduce import reproduce_row
    from .harness.terminal import console
    from .harness.terminal.reproduction import reproduction

    found = reproduce_row(
        row,
        out=out,
        backend=backend and backend.value,
        data=data,
        data_dir=data_dir,
    )
    if as_json:
        _print_json(finite(found.to_json()))
    else:
        console.show(reproduction(found))
    if not found.equal:
        raise typer.Exit(1)


@app.command()
@_plainly
def doctor(out: Out = None, as_json: Json = False) -> None:
    """Looks at versions, devices, cache, disk and evidence."""
    from .harness.doctor import diagnose
    from .harness.terminal import console
    from .harness.terminal.diagnosis import diagnosis

    findings = diagnose(out)
    if as_json:
        _print_json([finding.to_json() for finding in findings])
    else:
        console.show(diagnosis(findings))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _chosen(names: list[str] | None, every: bool, stale: bool) -> list[Path]:
    from .harness.evidence import catalogue, discovery

    if every + stale + bool(names) != 1:
        raise RefusalError("give recipe names, or --all, or --stale")
    if every:
        return list(discovery.shipped().values())
    if stale:
        return catalogue.stale_recipes()
    return [discovery.find(name) for name in names or ()]


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    settings = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise RefusalError(f"--set takes key=value. Received: {pair!r}")
        words = {"true": True, "false": False, "none": None}
        try:
            value = words.get(text.lower(), ast.literal_eval(text))
        except (ValueError, SyntaxError):
            value = words.get(text.lower(), text)
        settings[name] = value
    return settings


def _names_a_model(name: str) -> bool:
    place, colon, attribute = name.rpartition(":")
    return bool(colon and place) and attribute.isidentifier()


def _progress(quiet: bool) -> Any:
    from .harness.terminal.progress import Progress

    return Progress(quiet=quiet)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
