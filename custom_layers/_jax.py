"""What a layer must know of JAX: whether a variable may be updated here."""

import jax


def would_leak(variable):
    """Returns whether an update here would leak out of a compiled loop.

    Inside `lax.scan` the new value is a tracer of the loop's own trace, and
    whoever reads the variable after the loop meets JAX's
    `UnexpectedTracerError`, far from its cause.

    Args:
        variable: A `keras.Variable`.

    Returns:
        Boolean.
    """
    old = variable.value
    new = old + 0
    if not isinstance(new, jax.core.Tracer):
        return False
    # JAX has no public name for the trace that a tracer belongs to.
    return getattr(old, "_trace", None) is not new._trace
