"""Searches: KerasTuner's oracles ask, cells on the engine answer."""

from .arm_search import FIRST_RERUN_SEED, FIRST_SEARCH_SEED
from .found import Search
from .model_search import search, search_named
from .search import search_recipe

__all__ = [
    "FIRST_RERUN_SEED",
    "FIRST_SEARCH_SEED",
    "Search",
    "search",
    "search_named",
    "search_recipe",
]
