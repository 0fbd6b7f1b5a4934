"""What layers share that use the kernel of another layer."""

import collections
import warnings

import keras

# Private: nothing public tells an object that was there from a new one.
from keras.src.saving.serialization_lib import get_shared_object


class TiedLayer(keras.layers.Layer):
    """Base of the layers that use another layer's kernel, with an own bias.

    The tie is to the variable: it belongs to both layers, is one weight of a
    model, gets the sum of both gradients, and freezing one layer freezes it.
    Use it through `TiedDense` and `TiedConv2DTranspose`.

    Args:
        tied_to: The layer whose kernel is used, built before this one is.
        activation: Optional function, or its name in `keras.activations`.
            Default `None`: the outputs are linear.
        use_bias: Boolean. Whether to add a bias of its own. Default `True`.
        bias_initializer: Initializer of the bias, or its name. Default
            `"zeros"`.
        bias_regularizer: Optional penalty on the bias, or its name.
        bias_constraint: Optional constraint of the bias, or its name.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor, of the form of the tied layer's outputs.

    Returns:
        Float tensor, of the form of the tied layer's inputs.

    Raises:
        ValueError: If the other layer has no kernel that can be tied.

    Example:

    >>> from keras_regimen.custom_layers import TiedDense
    >>> issubclass(TiedDense, TiedLayer)
    True

    Reference:

    - See `TiedDense`.
    """

    # The class of layer that a subclass can be tied to.
    counterpart: type[keras.layers.Layer]

    def __init__(
        self,
        tied_to: keras.layers.Layer,
        activation=None,
        use_bias: bool = True,
        bias_initializer="zeros",
        bias_regularizer=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.refuse_if_untieable(tied_to)
        self._tie = _Tie(tied_to)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.supports_masking = True

    @property
    def tied_to(self):
        """The layer whose kernel is used."""
        return self._tie.layer

    def __dir__(self):
        # Saving walks over all that `dir` lists, and would store the weights
        # of the other layer a second time, or under this layer alone.
        return [name for name in super().__dir__() if name != "tied_to"]

    def refuse_if_untieable(self, layer: keras.layers.Layer):
        """Raises a `ValueError` if the kernel of `layer` cannot be shared.

        Args:
            layer: What was given as `tied_to`.
        """
        if not isinstance(layer, self.counterpart):
            raise ValueError(
                f"`tied_to` must be a `{self.counterpart.__name__}` layer, "
                f"whose kernel is used. Received: tied_to={layer}"
            )

    def __call__(self, inputs, *args, **kwargs):
        if self._tie.is_restored:
            self._tie.settle(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape):
        if not self.tied_to.built:
            raise ValueError(
                "The layer that `tied_to` names must be built first: call it, "
                "or its `build()`, before this one. "
                f"Received: tied_to={self.tied_to}, which has no weights yet"
            )
        kernel = self.tied_to.kernel
        if not isinstance(kernel, keras.Variable):
            raise ValueError(
                "The kernel of `tied_to` must be a variable; LoRA, for one, "
                "computes it from several. "
                f"Received: tied_to={self.tied_to} with a kernel of type "
                f"{type(kernel).__name__}"
            )
        # As an attribute it is tracked, so that it is saved, trained and
        # counted with this layer too, wherever the other layer may be.
        self.kernel = kernel
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(kernel.shape[-2],),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def get_build_config(self):
        """Returns `None`: a loaded layer is built when it is called.

        Returns:
            `None`. Only then is it known which layer it is tied to.
        """

    def get_config(self):
        return {
            **super().get_config(),
            "tied_to": keras.saving.serialize_keras_object(self.tied_to),
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
            "bias_regularizer": keras.regularizers.serialize(
                self.bias_regularizer
            ),
            "bias_constraint": keras.constraints.serialize(
                self.bias_constraint
            ),
        }

    @classmethod
    def from_config(cls, config):
        """Creates the layer from what `get_config` returned.

        Args:
            config: Dictionary; `tied_to` in it may also be a layer.

        Returns:
            A layer that looks for the one it is tied to when it is called.
        """
        saved = config["tied_to"]
        if isinstance(saved, keras.layers.Layer):
            return cls(**config)
        # `load_model` gives the same object again for what stands in a model
        # twice: then it is the true one, also out of sight of the graph.
        known = get_shared_object(saved.get("shared_object_id"))
        tied_to = keras.saving.deserialize_keras_object(saved)
        layer = cls(**{**config, "tied_to": tied_to})
        layer._tie.is_restored = True
        layer._tie.is_shared = known is not None
        return layer


class _Tie:
    """Holds the other layer, where Keras does not take it for a sublayer."""

    def __init__(self, layer):
        self.layer = layer
        self.is_restored = False
        self.is_shared = False

    def settle(self, inputs):
        """Looks for the true layer in the graph that `inputs` come from.

        A config can only describe it, so that restoring makes a second one.
        The graph that is being built has the right one, under its name.
        """
        self.is_restored = False
        if not isinstance(inputs, keras.KerasTensor):
            return
        for layer in _upstream(inputs):
            if layer.name == self.layer.name and type(layer) is type(
                self.layer
            ):
                self.layer = layer
                return
        if not self.is_shared:
            warnings.warn(
                f"The layer '{self.layer.name}' that a kernel was tied to is "
                "not among those that the inputs come from: the tie is lost, "
                "and a copy of the kernel takes its place. To keep it, let "
                "both layers stand in one functional model.",
                stacklevel=3,
            )


def _upstream(tensor):
    """Yields what a symbolic tensor was computed by, the nearest first."""
    # Private, for Keras' own walk (`get_source_inputs`) follows each path by
    # itself: 2**n of them through n residual blocks.
    operation, index, _ = tensor._keras_history
    nodes = collections.deque([operation._inbound_nodes[index]])
    seen = set()
    while nodes:
        node = nodes.popleft()
        if node not in seen:
            seen.add(node)
            nodes.extend(node.parent_nodes)
            yield from _with_nested(node.operation)


def _with_nested(layer):
    yield layer
    if isinstance(layer, keras.Model):
        for nested in layer.layers:
            yield from _with_nested(nested)
