"""The Hessian's product with a vector, without the Hessian."""

from keras import ops

from ..autodiff import FlatVariables, Objective


def hessian_vector_product(loss, variables, vectors) -> list:
    """Returns the product of a loss' Hessian with a vector.

    Use it to ask how the gradient changes in one direction, at the cost of a
    few gradients: the Hessian itself, of one row per weight, is never made.

    Args:
        loss: Function without arguments that reads `variables` and returns a
            scalar tensor. What it assigns to variables is forgotten.
        variables: Non-empty list of float `keras.Variable`s.
        vectors: List of arrays or tensors, one of each variable's shape: the
            vector, in pieces.

    Returns:
        List of tensors, one of each variable's shape: the product, in pieces.

    Raises:
        ValueError: If `variables` is empty or holds something else than float
            variables, if `vectors` does not match it, or if `loss` does not
            return a scalar.

    Example:

    >>> w = keras.Variable([1.0, 2.0])
    >>> loss = lambda: w[0] ** 2 * w[1]
    >>> (product,) = hessian_vector_product(loss, [w], [[1.0, 0.0]])
    >>> [float(x) for x in product]  # The first column of [[4, 2], [2, 0]].
    [4.0, 2.0]

    Reference:

    - Pearlmutter, "Fast Exact Multiplication by the Hessian", Neural
      Computation 6(1), 1994. Exact as there; by automatic differentiation,
      forward over reverse on JAX and reverse over reverse elsewhere.
    """
    flat = FlatVariables(variables)
    vectors = [
        ops.convert_to_tensor(vector, dtype=variable.dtype)
        for vector, variable in zip(vectors, flat.variables, strict=False)
    ] + list(vectors)[len(flat.variables) :]
    received = [tuple(vector.shape) for vector in vectors]
    needed = [tuple(variable.shape) for variable in flat.variables]
    if received != needed:
        raise ValueError(
            "`vectors` must hold one array of each variable's shape, "
            f"{needed}. Received: vectors of shapes {received}"
        )
    objective = Objective(flat.function(loss))
    product = objective.product(flat.read(), flat.flatten(vectors))
    return flat.split(product)
