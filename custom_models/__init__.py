"""Training methods, and ways to train a model you already have.

`fit_in_memory` trains on arrays as `model.fit` does, an epoch per compiled
call; `evaluate_in_memory` measures in between without leaving a trace, and
`why_plain_fit` says when neither is possible. `replace_layers` puts other
layers into a model and keeps its weights; `reestimate_batch_normalization`
makes moving statistics fit weights that were changed without training.
`prune` sets the smallest weights to zero, where a `KernelMask` keeps them;
`masks_of`, `apply_masks`, `set_masks` and `shuffled_masks` put masks on other
weights, `pruning_report` says what is saved, and `strip` takes the masks off.
`widen` and `deepen` make a net larger and leave its function as it is.
`CurriculumDataset` draws from the easiest samples first, and from more of them
by epoch. `pretrain_greedily` trains the hidden layers of a chain one by one,
`BaggingEnsemble` several models on bootstrap samples, which vote.
`AdversarialModel` and `VirtualAdversarialModel` learn from perturbed inputs;
`fast_gradient_sign`, `projected_gradient_descent` and, as their control,
`random_perturbation` make some for any model.
`SharpnessAwareModel` learns from the worst weights nearby, `ContractiveModel`
holds a layer still while the input moves, and `ImportanceSamplingModel` draws
the rows with large gradients.
"""

from .adversarial_model import AdversarialModel
from .apply_masks import (
    apply_masks,
    masks_of,
    set_masks,
    shuffled_masks,
    strip,
)
from .attacks import (
    fast_gradient_sign,
    projected_gradient_descent,
    random_perturbation,
)
from .bagging_ensemble import BaggingEnsemble
from .contractive_model import ContractiveModel
from .curriculum_dataset import CurriculumDataset
from .deepen import deepen
from .evaluate_in_memory import evaluate_in_memory
from .fit_in_memory import fit_in_memory
from .full_batch_model import FullBatchModel
from .importance_sampling_model import ImportanceSamplingModel
from .kernel_mask import KernelMask
from .pretrain_greedily import pretrain_greedily
from .prune import prune
from .pruning_report import pruning_report
from .reestimate_batch_normalization import reestimate_batch_normalization
from .replace_layers import replace_layers
from .sharpness_aware_model import SharpnessAwareModel
from .training_method import TrainingMethod
from .virtual_adversarial_model import VirtualAdversarialModel
from .why_plain_fit import why_plain_fit
from .widen import widen

__all__ = [
    "AdversarialModel",
    "BaggingEnsemble",
    "ContractiveModel",
    "CurriculumDataset",
    "FullBatchModel",
    "ImportanceSamplingModel",
    "KernelMask",
    "SharpnessAwareModel",
    "TrainingMethod",
    "VirtualAdversarialModel",
    "apply_masks",
    "deepen",
    "evaluate_in_memory",
    "fast_gradient_sign",
    "fit_in_memory",
    "masks_of",
    "pretrain_greedily",
    "projected_gradient_descent",
    "prune",
    "pruning_report",
    "random_perturbation",
    "reestimate_batch_normalization",
    "replace_layers",
    "set_masks",
    "shuffled_masks",
    "strip",
    "why_plain_fit",
    "widen",
]
