"""Gradients of a function that uses a model, by its weights or its inputs."""

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from ...custom_optimizers.autodiff import InnerScope, Objective
from ._backend import as_dense as as_dense
from ._backend import gradients, gradients_at
from ._backend import share_of_replica as share_of_replica
from ._backend import sum_over_replicas as sum_over_replicas
from ._backend import vector_jacobian_products as _products


def differentiate(
    function: Callable[[], tuple[Any, Any]],
    variables: Sequence,
    at: Sequence | None = None,
    state: Sequence[tuple[Any, Any]] = (),
    scale: Callable[[Any], Any] = lambda loss: loss,
) -> tuple[Any, Any, list]:
    """Returns a function's loss, its extras, and the loss' gradients.

    What the function assigns (batch statistics, random seeds, metrics) stays
    assigned, as in a plain training step. With `at`, the weights have other
    values while it runs, and whatever it assigns is forgotten.

    Args:
        function: Function without arguments that returns a scalar loss and a
            structure of tensors.
        variables: Sequence of `keras.Variable`s to differentiate by.
        at: Optional sequence of tensors, the variables' values meanwhile.
        state: With `at`, further pairs of variable and value.
        scale: Function from the loss to what is differentiated, for an
            optimizer's `scale_loss`.

    Returns:
        Tuple of the loss, the extras, and a list of gradients, one for each
        variable, `None` (zeros on JAX) where the loss does not depend on it.

    Example:

    >>> weight = keras.Variable([1.0, 2.0])
    >>> def square():
    ...     return keras.ops.sum(weight * weight), None
    >>> loss, _, [gradient] = differentiate(square, [weight])
    >>> float(loss), [float(x) for x in gradient]
    (5.0, [2.0, 4.0])
    >>> elsewhere = [keras.ops.array([3.0, 0.0])]
    >>> loss, _, [gradient] = differentiate(square, [weight], at=elsewhere)
    >>> float(loss), [float(x) for x in gradient]
    (9.0, [6.0, 0.0])
    """
    if at is None:
        return gradients(function, variables, scale)

    def elsewhere(values):
        known = [*zip(variables, values, strict=True), *state]
        with InnerScope(known, collect_losses=True):
            return function()

    return gradients_at(elsewhere, list(at), scale)


def gradient_by_inputs(function: Callable[[Any], Any], x: Any) -> Any:
    """Returns the gradient of a scalar function of inputs.

    What the function assigns is forgotten.

    Args:
        function: Function from a tensor to a scalar. It may call a model.
        x: Float tensor.

    Returns:
        Tensor of the shape of `x`.

    Example:

    >>> slope = gradient_by_inputs(keras.ops.sum, keras.ops.ones((2,)))
    >>> [float(s) for s in slope]
    [1.0, 1.0]
    """

    def forgetful(x):
        with InnerScope(collect_losses=True):
            return function(x)

    _, gradient = Objective(forgetful)(x)
    return ops.stop_gradient(gradient)


def vector_jacobian_products(
    function: Callable[[Any], Any], x: Any, vectors: Sequence
) -> list:
    """Returns products of vectors with a function's Jacobian at `x`.

    They may be differentiated again, by weights that the function uses. What
    the function assigns is forgotten.

    Args:
        function: Function from a tensor to a tensor. It may call a model.
        x: Float tensor.
        vectors: Sequence of tensors of the shape of the function's result.

    Returns:
        List of tensors of the shape of `x`, one for each vector.

    Example:

    >>> x, vector = keras.ops.array([2.0, 3.0]), keras.ops.array([1.0, 10.0])
    >>> [product] = vector_jacobian_products(keras.ops.square, x, [vector])
    >>> [float(p) for p in product]
    [4.0, 60.0]
    """

    def forgetful(x):
        with InnerScope(collect_losses=True):
            return function(x)

    return _products(forgetful, x, vectors)


def snapshot(variables: Sequence) -> list[tuple[Any, Any]]:
    """Returns variables with copies of their values, as `differentiate` wants.

    Args:
        variables: Sequence of `keras.Variable`s.

    Returns:
        List of pairs of variable and tensor.

    Example:

    >>> counter = keras.Variable(1.0)
    >>> [(_, before)] = snapshot([counter])
    >>> counter.assign(2.0) is None, float(before)
    (False, 1.0)
    """
    # A value is live on TensorFlow and PyTorch: it would follow an assignment.
    return [(variable, ops.copy(variable.value)) for variable in variables]
