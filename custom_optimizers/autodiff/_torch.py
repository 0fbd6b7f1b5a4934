"""Derivatives on PyTorch, where nothing is compiled."""

import torch


def value_and_gradient(function, x):
    """Returns the value of a scalar function at `x`, and its gradient."""
    value, gradient, _ = _differentiated(function, x, create_graph=False)
    return value.detach(), gradient


def hessian_vector_product(function, x, vector):
    """Returns the product of a function's Hessian at `x` with a vector."""
    _, gradient, x = _differentiated(function, x, create_graph=True)
    if not gradient.requires_grad:
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad(
        gradient, x, grad_outputs=vector, materialize_grads=True
    )
    return product


def compiled(function, jit_compile=False):
    """Returns the function: PyTorch runs as it is."""

    def call(*arguments):
        with torch.no_grad():
            return function(*arguments)

    return call


def is_eager():
    """Whether values are known now, so that Python can decide by them."""
    return True


def _differentiated(function, x, create_graph):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        if not value.requires_grad:
            return value, torch.zeros_like(x), x
        (gradient,) = torch.autograd.grad(
            value, x, create_graph=create_graph, materialize_grads=True
        )
    return value, gradient, x
