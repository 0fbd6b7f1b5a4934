"""Keras 3 components for regularization and optimization, with recipes.

- `keras_regimen.custom_layers`: layers and cells.
- `keras_regimen.custom_models`: training methods and `fit_in_memory`.
- `keras_regimen.callbacks`: early stopping and its relatives.
- `keras_regimen.recipes`: one script per technique, and the harness that
  runs them over paired seeds to a tested verdict (the `regimen` command).
"""

__version__ = "0.1.0"
