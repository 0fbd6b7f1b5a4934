"""Copies of PyTorch tensors, and the state of its random generators."""

from typing import Any

import torch


def copies(variables: list[Any], into: list[Any]) -> list[Any]:
    """Returns copies of Keras variables, in the memory of `into` if given."""
    tensors = [variable.value.detach() for variable in variables]
    # Fresh memory costs several times the copying.
    into = into or [torch.empty_like(tensor) for tensor in tensors]
    for copy, tensor in zip(into, tensors, strict=True):
        copy.copy_(tensor)
    return into


def random_state() -> Any:
    """Returns the state of the generators of the CPU and of all GPUs."""
    on_gpus = (
        torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    )
    return torch.get_rng_state(), on_gpus


def set_random_state(state: Any) -> None:
    """Sets the generators to a state that `random_state` returned."""
    on_cpu, on_gpus = state
    torch.set_rng_state(on_cpu)
    if on_gpus:
        torch.cuda.set_rng_state_all(on_gpus)
