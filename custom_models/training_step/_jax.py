"""Training steps on JAX, where a step is a function of the model's state."""

import jax
import keras
from keras import tree

from ...custom_optimizers.autodiff import InnerScope


class TrainingStep:
    """Updates weights by the gradients of `compute_gradients`."""

    def train_step(self, state, data):
        """Learns from one batch, as Keras' own step does from its gradient."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        known = [
            pair
            for variables, values in zip(groups, state, strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with keras.StatelessScope(known, collect_losses=True) as scope:
            loss, y_pred, gradients = self.compute_gradients(
                x, y, sample_weight
            )
            # Private: no public name says which metric the loss is.
            self._loss_tracker.update_state(
                loss, sample_weight=tree.flatten(x)[0].shape[0]
            )
            logs = self.compute_metrics(
                x, y, y_pred, sample_weight=sample_weight
            )
        _, non_trainable, _, metrics = (
            [scope.get_current_value(variable) for variable in variables]
            for variables in groups
        )
        trainable, optimizer = self.optimizer.stateless_apply(
            state[2], gradients, state[0]
        )
        return logs, (trainable, non_trainable, optimizer, metrics)


def gradients(function, variables, scale):
    """Returns loss, extras and gradients by variables."""
    updated = []

    def pure(values):
        known = list(zip(variables, values, strict=True))
        with _Recorder(known, collect_losses=True) as scope:
            loss, extras = function()
            scaled = scale(loss)
        updated[:] = scope.updated.values()
        updates = [scope.get_current_value(variable) for variable in updated]
        return scaled, (loss, extras, updates)

    values = [variable.value for variable in variables]
    (_, (loss, extras, updates)), found = jax.value_and_grad(
        pure, has_aux=True
    )(values)
    for variable, value in zip(updated, updates, strict=True):
        variable.assign(value)
    return loss, extras, found


def gradients_at(function, values, scale):
    """Returns loss, extras and gradients by `values`, which are tensors."""

    def pure(values):
        loss, extras = function(values)
        return scale(loss), (loss, extras)

    (_, (loss, extras)), found = jax.value_and_grad(pure, has_aux=True)(values)
    return loss, extras, found


def vector_jacobian_products(function, x, vectors):
    """Returns products of vectors with a Jacobian, to be differentiated."""
    _, pull_back = jax.vjp(function, x)
    return [pull_back(vector)[0] for vector in vectors]


def as_dense(tensor):
    """Returns the gradient: JAX has dense ones alone."""
    return tensor


def share_of_replica(value):
    """Returns the loss: JAX takes the devices of a batch for one."""
    return value


def sum_over_replicas(tensors):
    """Returns the tensors: JAX takes the devices of a batch for one."""
    return tensors


class _Recorder(InnerScope):
    """Remembers which variables are assigned inside."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.updated = {}

    def add_update(self, update):
        variable, _ = update
        self.updated[id(variable)] = variable
        super().add_update(update)
