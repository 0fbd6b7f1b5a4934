"""A scalar function of a vector with its derivatives."""

from ._backend import hessian_vector_product, value_and_gradient


class Objective:
    """A scalar function of a vector, differentiated by the backend.

    Args:
        function: Function from a vector to a scalar, both tensors.

    Example:

    >>> square = Objective(lambda x: keras.ops.sum(x * x))
    >>> value, gradient = square(keras.ops.array([3.0]))
    >>> float(value), float(gradient[0])
    (9.0, 6.0)
    >>> float(square.product(keras.ops.array([3.0]), keras.ops.ones(1))[0])
    2.0
    """

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        """Returns the value at `x` and the gradient."""
        return value_and_gradient(self.function, x)

    def product(self, x, vector):
        """Returns the product of the Hessian at `x` with a vector."""
        return hessian_vector_product(self.function, x, vector)
