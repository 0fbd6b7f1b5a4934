"""What first-order optimizers need from JAX itself."""

import jax


def compiled_for_a_cpu(tensor):
    """Returns whether XLA compiles what is being traced, on a CPU.

    Args:
        tensor: One of the tensors that it is traced with.
    """
    return isinstance(tensor, jax.core.Tracer) and (
        jax.default_backend() == "cpu"
    )
