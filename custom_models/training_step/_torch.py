"""Training steps on PyTorch."""

import keras
import torch
from keras import tree


class TrainingStep:
    """Updates weights by the gradients of `compute_gradients`."""

    def train_step(self, data):
        """Learns from one batch, as Keras' own step does from its gradient."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        loss, y_pred, gradients = self.compute_gradients(x, y, sample_weight)
        # Private: no public name says which metric the loss is.
        self._loss_tracker.update_state(
            loss, sample_weight=tree.flatten(x)[0].shape[0]
        )
        with torch.no_grad():
            self.optimizer.apply(gradients, self.trainable_weights)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def gradients(function, variables, scale):
    """Returns loss, extras and gradients by variables."""
    return _gradients(function, [v.value for v in variables], scale)


def gradients_at(function, values, scale):
    """Returns loss, extras and gradients by `values`, which are tensors."""
    values = [value.detach().requires_grad_() for value in values]
    return _gradients(lambda: function(values), values, scale)


def _gradients(function, values, scale):
    with torch.enable_grad():
        loss, extras = function()
        found = torch.autograd.grad(scale(loss), values, allow_unused=True)
    extras = tree.map_structure(_detached, extras)
    return loss.detach(), extras, list(found)


def _detached(value):
    return value.detach() if isinstance(value, torch.Tensor) else value


def vector_jacobian_products(function, x, vectors):
    """Returns products of vectors with a Jacobian, to be differentiated."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = function(x)
        return [
            torch.autograd.grad(
                y, x, vector, create_graph=True, materialize_grads=True
            )[0]
            for vector in vectors
        ]


def as_dense(tensor):
    """Returns the gradient: Keras' embeddings have dense ones on PyTorch."""
    return tensor


def share_of_replica(value):
    """Returns the loss: there is one device."""
    return value


def sum_over_replicas(tensors):
    """Returns the tensors: there is one device."""
    return tensors
