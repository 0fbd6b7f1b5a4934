"""A penalty on how much a layer's output moves with the input."""

import math
from typing import Any

import keras
from keras import ops, tree

from ..custom_layers.seed_generator import SeedGenerator
from ._logged_training_method import LoggedTrainingMethod
from ._surgery import is_graph
from .training_step import share_of_replica, vector_jacobian_products


@keras.saving.register_keras_serializable(package="keras_regimen")
class ContractiveModel(LoggedTrainingMethod):
    """Penalizes the Jacobian of a layer's output with respect to the input.

    Use it on the code of an autoencoder, whose features then follow the data
    and ignore other directions, or on a classifier that should be smooth.
    Training adds `strength` times the squared Frobenius norm of the Jacobian,
    averaged over the batch, to the loss, and logs that average as
    `contraction`. It is the Jacobian at inference: without dropout, and with
    the moving statistics of batch normalization.

    Args:
        model: A functional or sequential `keras.Model` that is built, with one
            float input.
        layer_name: String. The layer of `model` whose output is held still.
        strength: Float, 0 or more; 0 is plain training.
        exact_up_to: Integer, 0 or more. Outputs of up to so many units take
            their exact norm: a backward pass for each unit. Larger ones take
            an unbiased estimate (Hutchinson's). Defaults to 16.
        samples: Positive integer. Random directions of the estimate, a
            backward pass for each. Defaults to 1.
        seed: Optional integer. Fixes the directions.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes.
        training: Boolean, handed on.

    Raises:
        ValueError: If `model` is subclassed, not built, or has another input
            than one of floats; if it has no such layer, or one without a
            single output of known size; if `strength` is not a finite number
            of 0 or more, `exact_up_to` not an integer of 0 or more, or
            `samples` not a positive one.

    Example:

    >>> code = keras.layers.Dense(3, "sigmoid", name="code")
    >>> net = keras.Sequential([keras.Input((8,)), code, keras.layers.Dense(8)])
    >>> model = ContractiveModel(net, "code", strength=0.1)
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 8))
    >>> history = model.fit(x, x, epochs=2, verbose=0)
    >>> sorted(history.history)
    ['contraction', 'loss']

    Reference:

    - Rifai, Vincent, Muller, Glorot and Bengio, "Contractive Auto-Encoders:
      Explicit Invariance During Feature Extraction", ICML 2011. They have one
      sigmoid layer, whose norm has a closed form; here it is any layer.
    - Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix
      for Laplacian Smoothing Splines", 1990, for the random signs.
    """

    def __init__(
        self,
        model: keras.Model,
        layer_name: str,
        strength: float,
        exact_up_to: int = 16,
        samples: int = 1,
        seed: int | None = None,
        **kwargs,
    ):
        if not 0 <= strength < float("inf"):
            raise ValueError(
                "`strength` must be finite and not negative. "
                f"Received: strength={strength}"
            )
        if not (isinstance(exact_up_to, int) and exact_up_to >= 0):
            raise ValueError(
                "`exact_up_to` must be a number of units, 0 or more. "
                f"Received: exact_up_to={exact_up_to}"
            )
        if not (isinstance(samples, int) and samples >= 1):
            raise ValueError(
                "`samples` must be a positive integer. "
                f"Received: samples={samples}"
            )
        layer = _layer_model(model, layer_name)
        logged = ("contraction",) if strength else ()
        super().__init__(model, logged=logged, **kwargs)
        self.layer_name = layer_name
        self.strength = strength
        self.exact_up_to = exact_up_to
        self.samples = samples
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self._units = math.prod(layer.outputs[0].shape[1:])
        # In a function, since its layers are the model's and tracked there.
        self._features = lambda x: ops.cast(
            ops.reshape(layer(x, training=False), (-1, self._units)), "float32"
        )

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any):
        """Returns the penalized loss, the predictions and its gradients."""
        if self.strength == 0:
            return super().compute_gradients(x, y, sample_weight)

        def penalized():
            # First, before batch statistics move.
            contraction = self.contraction(x)
            loss, y_pred = self.compute_batch_loss(x, y, sample_weight)
            penalty = self.strength * share_of_replica(contraction)
            return loss + ops.cast(penalty, loss.dtype), (y_pred, contraction)

        loss, (y_pred, contraction), gradients = self.differentiate(penalized)
        self.log(contraction, weight=ops.shape(tree.flatten(x)[0])[0])
        return loss, y_pred, gradients

    def contraction(self, x: Any) -> Any:
        """Returns the mean squared norm of the Jacobian over a batch.

        Args:
            x: Inputs of the wrapped model.

        Returns:
            Scalar tensor, that may be differentiated by the weights.
        """
        x = ops.cast(tree.flatten(x)[0], "float32")
        shape = (ops.shape(x)[0], self._units)
        exact = self._units <= self.exact_up_to
        if exact:
            units = ops.unstack(ops.eye(self._units))
            vectors = [ops.broadcast_to(unit, shape) for unit in units]
        else:
            vectors = [
                ops.where(
                    keras.random.uniform(shape, seed=self.seed_generator) < 0.5,
                    -1.0,
                    1.0,
                )
                for _ in range(self.samples)
            ]
        products = vector_jacobian_products(self._features, x, vectors)
        squares = sum(ops.sum(product * product) for product in products)
        count = 1 if exact else self.samples
        return squares / ops.cast(shape[0] * count, squares.dtype)

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "layer_name": self.layer_name,
            "strength": self.strength,
            "exact_up_to": self.exact_up_to,
            "samples": self.samples,
            "seed": self.seed,
        }


def _layer_model(model: Any, layer_name: str) -> keras.Model:
    """The part of the model up to a layer, which must be one we can use."""
    if not (is_graph(model) and model.built):
        raise ValueError(
            "`model` must be a functional or sequential model that is built "
            "(give a sequential one a `keras.Input`): of a subclassed one it "
            "is not known how a layer depends on the input. "
            f"Received: model={model!r}"
        )
    inputs = model.inputs
    if len(inputs) != 1 or "float" not in inputs[0].dtype:
        raise ValueError(
            "`model` must have one input of floats, to differentiate by. "
            f"Received: model with inputs {inputs}"
        )
    names = [layer.name for layer in model.layers]
    if layer_name not in names:
        raise ValueError(
            f"`layer_name` must be one of {names}. "
            f"Received: layer_name={layer_name!r}"
        )
    output = model.get_layer(layer_name).output
    if tree.is_nested(output) or None in output.shape[1:]:
        raise ValueError(
            "`layer_name` must be a layer with one output of known size. "
            f"Received: layer_name={layer_name!r}, with output {output}"
        )
    return keras.Model(inputs[0], output, name=f"up_to_{layer_name}")
