"""A model that learns from a batch in another way than by its gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from .training_step import TrainingStep, differentiate


@keras.saving.register_keras_serializable(package="keras_regimen")
class TrainingMethod(TrainingStep, keras.Model):
    """Wraps a model, and lets a subclass say how it learns from a batch.

    Write a training method with it: a subclass overrides `compute_gradients`
    alone, in `keras.ops`, and trains on TensorFlow, JAX and PyTorch, under
    `fit`, `fit_in_memory` and (on TensorFlow) `MirroredStrategy`, with loss
    scaling and `jit_compile`. As it stands it trains as the wrapped model
    would by itself. The wrapped model shares the weights, is what one
    deploys, and need not be compiled.

    `evaluate` and `predict` are those of the wrapped model, and so is the
    logged loss but for what the subclass adds to it in training.

    Args:
        model: A `keras.Model`: functional, sequential or subclassed.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes.
        training: Boolean, handed on.

    Raises:
        ValueError: If `model` is not a `keras.Model`.

    Example:

    A method that flips the gradient's sign, and so climbs:

    >>> class Ascent(TrainingMethod):
    ...     def compute_gradients(self, x, y, sample_weight):
    ...         loss, y_pred, gradients = super().compute_gradients(
    ...             x, y, sample_weight
    ...         )
    ...         return loss, y_pred, [-g for g in gradients]
    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model = Ascent(net)
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> history = model.fit(np.ones((4, 2)), np.zeros(4), epochs=2, verbose=0)
    >>> history.history["loss"][1] > history.history["loss"][0]
    True
    """

    def __init__(self, model: keras.Model, **kwargs):
        if not isinstance(model, keras.Model):
            raise ValueError(
                f"`model` must be a `keras.Model`. Received: model={model!r}"
            )
        # The policy decides whether `compile` scales the loss.
        kwargs.setdefault("dtype", model.dtype_policy)
        super().__init__(**kwargs)
        self.model = model
        self.built = model.built

    def build(self, input_shape):
        if not self.model.built:
            # A subclassed model mostly builds itself in its first call.
            self.model(
                keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
            )
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    @property
    def output_names(self):
        """The wrapped model's, so that losses may be given by name."""
        return self.model.output_names

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any):
        """Returns what one batch teaches; to be overridden.

        Args:
            x: Inputs of the batch.
            y: Targets of the batch, or `None`.
            sample_weight: Weights of its samples, or `None`.

        Returns:
            Tuple of the loss to log, the predictions to measure metrics on,
            and a list of gradients in the order of `trainable_weights`,
            multiplied by the optimizer's loss scale as `differentiate` does.
        """
        return self.differentiate(
            lambda: self.compute_batch_loss(x, y, sample_weight)
        )

    def compute_batch_loss(self, x: Any, y: Any, sample_weight: Any):
        """Returns the loss on a batch in training mode, and the predictions.

        Penalties and `add_loss` are in the loss.

        Args:
            x: Inputs.
            y: Targets, or `None`.
            sample_weight: Weights, or `None`.

        Returns:
            Tuple of a scalar tensor and the model's outputs.
        """
        y_pred = self(x, training=True)
        loss = self.compute_loss(
            x=x,
            y=y,
            y_pred=y_pred,
            sample_weight=sample_weight,
            training=True,
        )
        return loss, y_pred

    def differentiate(
        self,
        function: Callable[[], tuple[Any, Any]],
        at: Sequence | None = None,
        state: Sequence[tuple[Any, Any]] = (),
    ) -> tuple[Any, Any, list]:
        """Returns a function's loss, extras and gradients by the weights.

        The gradients are of the scaled loss, where the optimizer scales it;
        the loss returned is not scaled.

        Args:
            function: Function without arguments that returns a scalar loss and
                a structure of tensors, such as the predictions.
            at: Optional list of tensors: the values of `trainable_weights`
                while the function runs. What it assigns is forgotten then.
            state: With `at`, pairs of further variables and their values.

        Returns:
            Tuple of the loss, the extras, and a list of gradients.
        """
        return differentiate(
            function,
            self.trainable_weights,
            at,
            state,
            scale=self.optimizer.scale_loss,
        )

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a model from what `get_config` returned."""
        config = dict(config)
        config["model"] = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(**config)
