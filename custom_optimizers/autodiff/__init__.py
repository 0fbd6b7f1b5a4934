"""Losses as functions of one flat vector, and their derivatives.

The only part of the closure optimizers and the curvature tools that knows
which backend runs. It holds tools for components, and nothing for models.
"""

from ._backend import compiled as compiled
from ._backend import is_eager as is_eager
from .flat_variables import FlatVariables as FlatVariables
from .flat_variables import _InnerScope as InnerScope  # noqa: F401
from .loops import map_rows as map_rows
from .loops import while_loop as while_loop
from .objective import Objective as Objective
from .precise import larger as larger
from .precise import length as length
from .precise import smaller as smaller
from .precise import times as times
