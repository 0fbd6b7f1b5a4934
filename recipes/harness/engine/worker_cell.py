"""A cell, as a Dask worker runs it."""

from dataclasses import replace
from typing import Any

from .cell import Cell
from .cluster import script_here
from .news import Score, teller_in_worker

# A process is replaced after so many models that could not be reused, since
# TensorFlow keeps some memory of each, whatever is cleared.
_MODELS_PER_PROCESS = 100


def run_in_worker(cell: Cell, score: Score | None = None) -> dict[str, Any]:
    """Returns the row of a cell; its recipe lies where the cell says.

    Args:
        cell: The cell.
        score: Optional, as of `Teller`: it tells its news.
    """
    from distributed import get_worker

    from . import training

    teller = None if score is None else teller_in_worker(cell.id, score)
    row = training.run_cell(cell, teller)
    worker = get_worker()
    # Without a nanny nobody would start it again.
    if training.fresh_models >= _MODELS_PER_PROCESS and worker.nanny:
        worker.loop.add_callback(worker.close_gracefully, restart=True)
    return row


def run_made(cell: Cell, score: Score | None = None) -> dict[str, Any]:
    """Returns the row of a cell whose recipe no file declares.

    Args:
        cell: The cell.
        score: As of `run_in_worker`.

    Raises:
        RefusalError: If the recipe is of other code than the cell.
    """
    if cell.recipe_from is not None:
        cell.recipe_from()  # In `run_cell` a refusal would become a row.
    return run_in_worker(cell, score)


def run_sent(cell: Cell, score: Score | None = None) -> dict[str, Any]:
    """Returns the row of a cell that came from another machine.

    Args:
        cell: The cell, whose file is a `script_name`.
        score: As of `run_in_worker`.
    """
    file = str(script_here(cell.file, cell.code))
    return run_in_worker(replace(cell, file=file), score)
