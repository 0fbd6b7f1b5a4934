"""The progress of a search: the best trials so far, and what is running."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..engine.cell import Cell
from ..engine.news import News
from .styles import number
from .tally import Tally, duration

_BEST = 5
_RUNNING = 8


@dataclass
class _Run:
    """A run that was handed to a worker, and what was heard of it.

    Its first epoch, which compiles, says nothing of the others' pace.
    """

    work: int
    since: float = field(default_factory=time.monotonic)
    # Set as one, since another thread may read meanwhile.
    heard: tuple[Mapping[str, Any], News] | None = None
    share: float = 0.0  # Of its work, done.
    left: float = 0.0  # Seconds.
    _first: tuple[int, float] = (0, 0.0)

    def hear(self, execution: Mapping[str, Any], news: News) -> None:
        now = time.monotonic()
        if not news.epoch:  # Again, perhaps, where a worker was killed.
            self.since, self.share, self.left = now, 0.0, 0.0
            self._first = (0, now)
        elif not self._first[0]:
            self._first = (news.epoch, now)
        if news.epoch and news.epochs:
            epoch, then = self._first
            more, rest = news.epoch - epoch, news.epochs - news.epoch
            # The first may be a later one, where a shorter run is gone on from.
            self.share = (more + 1) / (more + 1 + rest)
            self.left = (now - then) / more * rest if more else 0.0
        self.heard = execution, news

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


class SearchProgress:
    """A reporter that draws on the error stream, so that pipes stay clean.

    On a terminal that can move its cursor it is a table of the best trials
    and of those that run, gone at the end; elsewhere it is a line now and
    then.

    Args:
        quiet: Whether to draw nothing.
    """

    def __init__(self, quiet: bool = False):
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._drawn = self._console.is_interactive and not quiet
        self._name = ""
        self._by = ""  # What the best are the best by.
        self._arms = 0
        self._seeds: set[int] = set()
        self._tally = Tally("runs")
        self._running: dict[str, _Run] = {}
        self._best: list[Mapping[str, Any]] = []
        self._live = Live(
            console=self._console,
            transient=True,
            refresh_per_second=2,
            get_renderable=self._view,
        )

    def __enter__(self) -> "SearchProgress":
        if self._drawn:
            self._live.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._drawn:
            self._live.stop()

    def planned(self, plan: Any, pending: int) -> None:
        for note in plan.notes:
            self._say(note)
        self._name = plan.recipe
        self._arms = len(plan.arms)
        self._tally.begin()
        self._tally.expect(pending)
        if not self._drawn:
            self._say(f"{self._name}: {pending} runs at most")

    def expected(self, runs: int, work: float) -> None:
        self._tally.expect(runs, work)

    def started(self, cell: Cell) -> None:
        self._running[cell.id] = _Run(cell.work)
        self._seeds.add(cell.seed)

    def heard(self, execution: Mapping[str, Any], news: News) -> None:
        run = self._running.get(news.cell)
        if run is not None:  # Else its row was faster.
            run.hear(execution, news)

    def finished(self, row: Mapping[str, Any]) -> None:
        run = self._running.pop(row["id"], None)
        if run is not None:  # Else of an earlier call: it took no time now.
            self._tally.count(row, run.work)
        if not self._drawn and self._tally.line_due():
            best = f", best {number(self._best[0]['score'])}" * bool(self._best)
            self._say(f"{self._name}: {self._tally}{best}")

    def scored(self, execution: Mapping[str, Any], goal: Any) -> None:
        if math.isfinite(execution["score"]):
            sign = 1 if goal.direction == "min" else -1
            ranked = [*self._best, execution]
            ranked.sort(key=lambda e: sign * e["score"])
            self._best = ranked[:_BEST]
            extreme = "lowest" if sign == 1 else "highest"
            self._by = f", {extreme} {goal.label}"

    def _view(self) -> RenderableType:
        runs = [run for run in list(self._running.values()) if run.heard]
        best, shown = len(self._best), min(len(runs), _RUNNING)
        while True:
            view = self._drawing(self._best[:best], runs[:shown], len(runs))
            lines = len(self._console.render_lines(view))
            if lines < self._console.height or best + shown <= 2:
                return view
            # Settings fill several lines each, or the window is low.
            best, shown = (best - 1, shown) if best > 1 else (best, shown - 1)

    def _drawing(
        self,
        best: Sequence[Mapping[str, Any]],
        shown: Sequence[_Run],
        running: int,
    ) -> RenderableType:
        some = f", {len(shown)} of {running}" * (running > len(shown))
        epochs = "epochs" * any("epochs" in execution for execution in best)
        table = Table.grid(padding=(0, 2, 0, 0))
        for name in ("trial", "settings", "epoch", "score", "for"):
            words = name in ("trial", "settings")
            table.add_column(
                justify="left" if words else "right",
                overflow="fold",
                no_wrap=name != "settings",
            )
        for heading, lines in (
            (
                ("trial", f"best so far{self._by}", epochs, "score", ""),
                [self._best_line(execution) for execution in best],
            ),
            (
                ("trial", f"running{some}", "epoch", "score", "for"),
                [self._running_line(run) for run in shown],
            ),
        ):
            if lines:
                table.add_row(*heading, style="dim")
            for line in lines:
                table.add_row(*map(Text, line))
        head = Text.assemble((self._name or "starting", "bold"), "  ")
        count = self._count() if self._name else ""
        return Group(head + Text(count), table)

    def _best_line(self, execution: Mapping[str, Any]) -> Sequence[str]:
        return (
            self._label(execution, seed=False),
            settings_text(execution["hyperparameters"]),
            str(execution.get("epochs", "")),
            number(execution["score"]),
            "",
        )

    def _running_line(self, run: _Run) -> Sequence[str]:
        execution, news = run.heard  # type: ignore[misc]
        epoch = str(news.epoch or "-")
        return (
            self._label(execution, seed=len(self._seeds) > 1),
            settings_text(execution["hyperparameters"]),
            f"{epoch}/{news.epochs}" if news.epochs else epoch,
            number(news.score),
            duration(run.seconds),
        )

    def _label(self, execution: Mapping[str, Any], seed: bool) -> str:
        return " ".join(
            [
                *([execution["arm"]] if self._arms > 1 else []),
                execution["trial"],
                *([f"seed {execution['seed']}"] if seed else []),
            ]
        )

    def _count(self) -> str:
        runs = list(self._running.values())
        return self._tally.text(
            under_way=sum(run.share * run.work for run in runs),
            slowest=max((run.left for run in runs), default=0.0),
        )

    def _say(self, text: str) -> None:
        # Not broken at the window's edge.
        self._console.print(text, soft_wrap=True, markup=False, emoji=False)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings in one line.

    >>> settings_text({"rate": 0.123456, "layers": 2})
    'rate=0.1235, layers=2'
    """
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
    )
