"""The sharpness of the loss, and whether the learning rate can bear it."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops

from ...custom_optimizers import ClosureOptimizer
from ...custom_optimizers.autodiff import FlatVariables, Objective, compiled
from ..check_count import check_count
from ..learning_rate.learning_rates import optimizers_within, rate_of
from .probe_monitor import ProbeMonitor
from .short_lanczos import largest_eigenvalue, short_lanczos


class CurvatureMonitor(ProbeMonitor):
    """Measures the largest eigenvalue of the loss' Hessian on a probe batch.

    Use it to choose a learning rate, or to see why one fails: gradient descent
    on a quadratic diverges where its curvature is above 2 / learning rate. It
    writes

    - `hessian_eigenvalue`, the largest, in a subspace of as many dimensions
      as `products`: the true one is no smaller;
    - `hessian_residual`: an exact eigenvalue is as near as this;
    - `sharpness_ratio`, the eigenvalue times learning rate / 2: above 1, plain
      gradient descent would climb along that direction. Momentum bears more,
      and adaptive optimizers rescale the directions. Of several optimizers
      the largest rate counts; those that search their steps have no ratio.

    The loss is the compiled one with its penalties, as at inference. A
    measurement costs `products` Hessian products, each of some three gradients
    on the probe.

    Args:
        x: Inputs of the probe batch, an array or a structure of them.
        y: Its targets, likewise.
        every: Positive integer. Epochs from one measurement, the first after
            the first epoch, to the next. Defaults to `20`.
        products: Positive integer. Hessian products of a measurement.
            Defaults to `10`.
        csv: Optional path of a table, a row for each measurement.
        log_dir: Optional path of a folder for TensorBoard, which need not be
            installed.
        verbose: `1` to print the problems, `0` for silence. Defaults to `0`.

    Attributes:
        figures: Dictionary from the measured epochs to figures by name.
        problems: Dictionary from the epochs with problems to sentences.

    Raises:
        ValueError: If an argument is outside its range or the probe is no
            batch.

    Example:

    >>> model = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
    >>> model.compile(keras.optimizers.SGD(0.2), "mse")
    >>> x, y = keras.ops.ones((8, 2)), keras.ops.ones((8, 1))
    >>> history = model.fit(
    ...     x, y, epochs=1, verbose=0, callbacks=[CurvatureMonitor(x, y)]
    ... )
    >>> [round(history.history[name][0], 4) for name in (
    ...     "hessian_eigenvalue", "sharpness_ratio"
    ... )]
    [4.0, 0.4]

    Reference:

    - Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient Descent on Neural
      Networks Typically Occurs at the Edge of Stability",
      [2021](https://arxiv.org/abs/2103.00065). They take the Hessian on all
      data; we on a probe.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        every: int = 20,
        products: int = 10,
        csv: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
        verbose: int = 0,
    ):
        super().__init__((x, y), every, csv, log_dir, verbose)
        check_count("products", products, at_least=1)
        self.products = products

    def evaluate(self, figures: Mapping[str, float]) -> list[str]:
        ratio = figures.get("sharpness_ratio", 0.0)
        eigenvalue = figures["hessian_eigenvalue"]
        if not np.isfinite(eigenvalue):
            return [
                f"the largest curvature is {eigenvalue:.3g}, no finite number"
            ]
        if not ratio > 1:
            return []
        return [
            f"the largest curvature, {eigenvalue:.3g}, is {ratio:.3g} times "
            "what gradient descent can bear, 2 / learning rate, "
            f"{eigenvalue / ratio:.3g}"
        ]

    def _prepare(self) -> Callable[..., dict[str, float]]:
        model = self.model
        flat = FlatVariables(model.trainable_variables)
        steps = min(self.products, flat.size)
        # The same each time, so that a measurement depends on weights alone.
        start = np.random.default_rng(0).normal(size=flat.size)
        rated = [
            part
            for part in optimizers_within(model.optimizer)
            if not hasattr(part, "inner_optimizer")
            and not getattr(part, "optimizers", [])
            and not isinstance(part, ClosureOptimizer)
        ]

        @compiled
        def measure(x, y, start):
            def loss():
                y_pred = model(x, training=False)
                return model.compute_loss(
                    x=x, y=y, y_pred=y_pred, training=False
                )

            objective, here = Objective(flat.function(loss)), flat.read()
            return short_lanczos(
                lambda vector: objective.product(here, vector), start, steps
            )

        def figures(x, y):
            tensor = ops.convert_to_tensor(start, flat.dtype)
            diagonal, beside = (
                ops.convert_to_numpy(part).astype("float64")
                for part in measure(x, y, tensor)
            )
            eigenvalue, residual = largest_eigenvalue(diagonal, beside)
            found = {
                "hessian_eigenvalue": eigenvalue,
                "hessian_residual": residual,
            }
            if rated:
                rate = max(map(rate_of, rated))
                found["sharpness_ratio"] = eigenvalue * rate / 2
            return found

        return figures
