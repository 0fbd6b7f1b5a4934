"""Our optimizers, each with what other libraries have of its kind.

The settings are such that they should agree: `optimizer_agreement.py` says to
how many digits they do.
"""

import keras
import optax
import torch
from keras.optimizers import SGD, schedules
from optimizer_paths import (
    STEPS,
    by_keras,
    by_optax,
    by_scipy,
    by_torch,
    himmelblau,
    minimized,
    optax_lbfgs,
    rates,
    torch_lbfgs,
    torch_rates,
)

from keras_regimen import custom_optimizers as ours

RATE = 0.125  # A power of 2, since Keras rounds rates to float32.


def first_order():
    """Yields name, path and counterparts by library: their name and path."""
    yield (
        "AdaBelief",
        by_keras(ours.AdaBelief(RATE, epsilon=1e-6)),
        {
            "optax": (
                "adabelief",
                by_optax(optax.adabelief(RATE, 0.9, 0.999, 0, 1e-6)),
            )
        },
    )
    yield (
        "LARS",
        by_keras(ours.LARS(2.0)),
        {"optax": ("lars", by_optax(optax.lars(2.0)))},
    )
    yield (
        "RectifiedAdam",
        by_keras(ours.RectifiedAdam(RATE, epsilon=1e-8)),
        {
            "optax": ("radam", by_optax(optax.radam(RATE))),
            "torch": ("RAdam", by_torch(lambda w: torch.optim.RAdam(w, RATE))),
        },
    )
    keras_own = keras.optimizers.ScheduleFreeAdamW(RATE)
    yield (
        "ScheduleFreeAdamW",
        by_keras(ours.ScheduleFreeAdamW(RATE)),
        {
            "Keras": ("ScheduleFreeAdamW", by_keras(keras_own)),
            "optax": (
                "schedule_free_adamw",
                by_optax(
                    optax.contrib.schedule_free_adamw(RATE, weight_decay=0)
                ),
            ),
        },
    )
    yield (
        "ScheduleFreeSGD",
        by_keras(ours.ScheduleFreeSGD(RATE)),
        {
            "optax": (
                "schedule_free_sgd",
                by_optax(optax.contrib.schedule_free_sgd(RATE)),
            )
        },
    )
    yield (
        "Yogi",
        by_keras(ours.Yogi(RATE)),
        {"optax": ("yogi", by_optax(optax.yogi(RATE)))},
    )


def wrappers():
    """Yields the same for wrappers, around plain SGD."""
    sgd = optax.sgd(RATE)
    yield (
        "AdaptiveGradientClipping",
        by_keras(ours.AdaptiveGradientClipping(SGD(RATE))),
        {
            "optax": (
                "adaptive_grad_clip",
                by_optax(optax.chain(optax.adaptive_grad_clip(0.01), sgd)),
            )
        },
    )
    yield (
        "GradientCentralization",
        by_keras(ours.GradientCentralization(SGD(RATE))),
        {
            "optax": (
                "centralize",
                by_optax(optax.chain(optax.centralize(), sgd), transposed=True),
            )
        },
    )
    yield "GradientNoise", None, {"optax": ("add_noise", None)}
    yield (
        "Lookahead",
        by_keras(ours.Lookahead(SGD(RATE), 3, 0.25)),
        {
            "optax": (
                "lookahead",
                by_optax(optax.lookahead(sgd, 3, 0.25), lookahead=True),
            )
        },
    )
    yield (
        "PolyakAveraging",
        by_keras(ours.PolyakAveraging(SGD(RATE)), average=True),
        {
            "torch": (
                "swa_utils.AveragedModel",
                by_torch(lambda w: torch.optim.SGD(w, RATE), average=True),
            )
        },
    )
    yield "ProximalL1", None, {}


def learning_rates():
    """Yields the same for schedules."""
    scheduler = torch.optim.lr_scheduler
    cosine = schedules.CosineDecay(0.5, STEPS)
    joined = optax.join_schedules(
        [
            optax.linear_schedule(0, 0.5, 5),
            optax.cosine_decay_schedule(0.5, STEPS),
        ],
        [5],
    )
    yield (
        "Cyclical",
        rates(ours.Cyclical(0.1, 0.5, 4)),
        {
            "torch": (
                "CyclicLR",
                torch_rates(
                    lambda o: scheduler.CyclicLR(
                        o, 0.1, 0.5, 4, cycle_momentum=False
                    )
                ),
            )
        },
    )
    one_cycle = torch_rates(
        lambda o: scheduler.OneCycleLR(o, 0.5, STEPS, cycle_momentum=False)
    )
    yield (
        "OneCycle",
        rates(ours.OneCycle(0.5, STEPS)),
        {
            "optax": (
                "cosine_onecycle_schedule",
                rates(optax.cosine_onecycle_schedule(STEPS, 0.5)),
            ),
            "torch": ("OneCycleLR", one_cycle),
        },
    )
    staircase = {"decay_rate": 0.3, "staircase": True}
    yield (
        "StepDecay",
        rates(ours.StepDecay(0.5, 4, 0.3)),
        {
            "Keras": (
                "ExponentialDecay",
                rates(schedules.ExponentialDecay(0.5, 4, **staircase)),
            ),
            "optax": (
                "exponential_decay",
                rates(optax.exponential_decay(0.5, 4, **staircase)),
            ),
            "torch": (
                "StepLR",
                torch_rates(lambda o: scheduler.StepLR(o, 4, 0.3)),
            ),
        },
    )
    yield (
        "WarmUp",
        rates(ours.WarmUp(cosine, 5)),
        {"optax": ("join_schedules", rates(joined))},
    )


def closure():
    """Yields the same for closure optimizers, on functions of two weights."""
    torch_path = torch_lbfgs()
    yield "BFGS", minimized(ours.BFGS()), {"SciPy": ("BFGS", by_scipy("BFGS"))}
    yield (
        "LBFGS",
        minimized(ours.LBFGS()),
        {
            "optax": ("lbfgs", optax_lbfgs()),
            "torch": ("LBFGS", torch_path),
            "SciPy": ("L-BFGS-B", by_scipy("L-BFGS-B")),
        },
    )
    yield (
        "Newton",
        minimized(ours.Newton()),
        {"SciPy": ("Newton-CG", by_scipy("Newton-CG"))},
    )
    search = ours.StrongWolfe(curvature=0.4)  # SciPy's.
    conjugate = ours.NonlinearConjugateGradient(line_search=search)
    yield (
        "NonlinearConjugateGradient",
        minimized(conjugate, himmelblau),
        {"SciPy": ("CG", by_scipy("CG", himmelblau))},
    )


FAMILIES = (first_order, wrappers, learning_rates, closure)
