"""Weight normalization: a kernel's length learned apart from its direction."""

import keras
from keras import ops

from .kernel_wrapper import LINEAR_LAYERS, KernelWrapper, replaced, unrounded


@keras.saving.register_keras_serializable(package="keras_regimen")
class WeightNormalization(KernelWrapper):
    """Calls a layer with a kernel of learned direction and learned length.

    Use it to speed up gradient descent where batch statistics are unwanted:
    `WeightNormalization(keras.layers.Dense(64))`. The weights w of each
    output unit or channel become `gain * v / norm(v)`: v is the layer's own
    kernel, and the wrapper adds the gains, which start at the norms of v, so
    that the layer starts as it would without the wrapper.

    With `data_dependent_init` the first batch of training sets gains and
    biases such that the layer's outputs have mean 0 and variance 1 in each
    channel before the activation. (A channel that does not vary stays as it
    is; with `use_bias=False` only the variance is set. Under
    `tf.distribute`, the mean of what the replicas find.) What is found is
    kept in weights of its own that are added to gains and biases, so that
    optimizers see no jump. For a pretrained layer, switch it off.

    Norms are float32 whatever the policy. A penalty or constraint on the
    layer's kernel concerns v, whose length has no effect.

    Args:
        layer: The layer to wrap: `Dense`, `EinsumDense`, a convolution
            (transposed, depthwise, separable) or a recurrent layer.
        data_dependent_init: Boolean. Whether the first batch of training
            sets gains and biases. Default `True`. Recurrent layers and
            `EinsumDense` have no outputs to set them by, and need `False`.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: What the layer takes.
        training: Boolean, handed on to the layer.
        mask: Optional mask, handed on to the layer if it takes one. Masked
            time steps do not count in the first batch's statistics.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` has no kernel or is an RNN cell,
            `data_dependent_init` is not a boolean, or is `True` for a layer
            that has no outputs to set it by.

    Example:

    >>> layer = WeightNormalization(keras.layers.Dense(2))
    >>> outputs = layer(keras.ops.array([[1.0], [3.0]]), training=True)
    >>> abs(round(float(keras.ops.mean(outputs)), 4))
    0.0
    >>> tuple(layer.strip().kernel.shape)  # A plain Dense.
    (1, 2)

    Reference:

    - Salimans and Kingma, "Weight Normalization: A Simple Reparameterization
      to Accelerate Training of Deep Neural Networks",
      [2016](https://arxiv.org/abs/1602.07868), sections 2 and 3. The paper
      initializes from a pass before training; we use the first batch of
      training itself, with the kernel's initial norms instead of 1 where
      `data_dependent_init` is off.
    """

    kernel_names = (
        "kernel",
        "recurrent_kernel",
        "depthwise_kernel",
        "pointwise_kernel",
    )

    def __init__(
        self,
        layer: keras.layers.Layer,
        data_dependent_init: bool = True,
        **kwargs,
    ):
        super().__init__(layer, **kwargs)
        if not isinstance(data_dependent_init, bool):
            raise ValueError(
                "`data_dependent_init` must be True or False. "
                f"Received: data_dependent_init={data_dependent_init}"
            )
        if data_dependent_init and (
            isinstance(layer, keras.layers.EinsumDense)
            or not isinstance(
                layer,
                (
                    *LINEAR_LAYERS,
                    keras.layers.SeparableConv1D,
                    keras.layers.SeparableConv2D,
                ),
            )
        ):
            raise ValueError(
                "`data_dependent_init` must be False for this layer: it has "
                "no pre-activations with one bias for each channel. "
                f"Received: data_dependent_init=True, layer={layer}"
            )
        self.data_dependent_init = data_dependent_init

    def add_weights(self, kernels, input_shape):
        self.gains = [
            self.add_weight(
                name=f"{kernel.name}_gain",
                shape=[
                    size
                    for axis, size in enumerate(kernel.shape)
                    if axis not in kernel.fan_in_axes
                ],
                initializer=lambda *_, kernel=kernel, **__: self._norm(kernel),
                dtype=kernel.dtype,
                autocast=False,
            )
            for kernel in kernels
        ]
        if self.data_dependent_init:
            # Additive, since JAX forgets what `call` assigns to a trainable
            # weight; the gradients are those of the sums.
            self.gain_offset = self._add_offset("gain", self.gains[-1])
            if self.layer.bias is not None:
                self.bias_offset = self._add_offset("bias", self.layer.bias)
            self.initialized = self.add_weight(
                name="initialized",
                initializer="zeros",
                trainable=False,
                autocast=False,
                aggregation="mean",
            )

    def _add_offset(self, name, variable):
        return self.add_weight(
            name=f"{name}_offset",
            shape=variable.shape,
            initializer="zeros",
            dtype=self.kernels[-1].dtype,
            trainable=False,
            autocast=False,
            aggregation="mean",
        )

    def _norm(self, kernel):
        squares = ops.sum(ops.square(kernel.value), kernel.fan_in_axes)
        # A root has no gradient at 0.
        return ops.sqrt(ops.maximum(squares, 1e-30))

    def effective_kernels(self, kernels, training):
        gains = [ops.convert_to_tensor(gain) for gain in self.gains]
        if self.data_dependent_init:
            gains[-1] = gains[-1] + self.gain_offset
        return [
            kernel.value
            * ops.expand_dims(gain / self._norm(kernel), kernel.fan_in_axes)
            for kernel, gain in zip(kernels, gains, strict=True)
        ]

    def call(self, inputs, training=None, mask=None, **kwargs):
        if not self.data_dependent_init:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        if training:
            self._set_offsets(inputs, mask)
        with replaced(self._shifted_bias()):
            return super().call(inputs, training=training, mask=mask, **kwargs)

    def _shifted_bias(self):
        """Returns the replacement of the bias, in a list; none without one."""
        if self.layer.bias is None:
            return []
        bias = ops.cast(
            self._bias() + self.bias_offset, self.layer.compute_dtype
        )
        return [(self.layer, "bias", bias)]

    def _bias(self):
        return unrounded(self.layer.bias, self.gain_offset.dtype)

    def _set_offsets(self, inputs, mask):
        offsets = [self.gain_offset]
        if self.layer.bias is not None:
            offsets.append(self.bias_offset)
        values = ops.cond(
            self.initialized > 0,
            lambda: [ops.convert_to_tensor(offset) for offset in offsets],
            lambda: self._offsets_for(inputs, mask)[: len(offsets)],
        )
        for offset, value in zip(offsets, values, strict=True):
            offset.assign(ops.stop_gradient(value))
        self.initialized.assign(ops.ones(()))

    def _offsets_for(self, inputs, mask):
        """Returns what makes these inputs' outputs standard, to be added."""
        mean, variance = self._moments(self._linear(inputs), mask)
        varies = variance > 1e-10
        scale = ops.where(varies, ops.rsqrt(ops.maximum(variance, 1e-10)), 1)
        mean = ops.where(varies, mean, 0)
        gain = ops.convert_to_tensor(self.gains[-1])
        gain_offset = gain * (ops.reshape(scale, gain.shape) - 1)
        if self.layer.bias is None:
            return [gain_offset]
        bias = self._bias()
        return [gain_offset, (bias - mean) * scale - bias]

    def _linear(self, inputs):
        """Returns the outputs before the activation, in float32."""
        kernels = self.kernels
        values = self.effective_kernels(kernels, training=True)
        dtype = kernels[-1].dtype
        replacements = [
            (self.layer, kernel.attribute, value)
            for kernel, value in zip(kernels, values, strict=True)
        ]
        replacements.append((self.layer, "activation", None))
        if self.layer.bias is not None:
            replacements.append((self.layer, "bias", self._bias()))
        with replaced(replacements):
            # `call` past `__call__`, which would cast and add losses.
            return self.layer.call(ops.cast(inputs, dtype))

    def _moments(self, outputs, mask):
        rank = len(outputs.shape)
        first = getattr(self.layer, "data_format", None) == "channels_first"
        channels = 1 if first else rank - 1
        axes = [axis for axis in range(rank) if axis != channels]
        weights = ops.ones_like(outputs)
        if mask is not None:  # (batch, time) to (batch, time, 1)
            mask = ops.expand_dims(mask, list(range(len(mask.shape), rank)))
            weights = weights * ops.cast(mask, weights.dtype)
        count = ops.maximum(ops.sum(weights, axes, keepdims=True), 1)
        mean = ops.sum(outputs * weights, axes, keepdims=True) / count
        squares = ops.square(outputs - mean) * weights
        variance = ops.sum(squares, axes, keepdims=True) / count
        return ops.ravel(mean), ops.ravel(variance)

    def strip(self) -> keras.layers.Layer:
        """Returns a plain layer that does what this one does at inference.

        Returns:
            A new layer of the wrapped layer's class, name and weights, with
            the normalized kernel and the bias that belongs to it.

        Raises:
            ValueError: If the wrapper is not built.
        """
        plain = super().strip()
        if self.data_dependent_init and plain.bias is not None:
            plain.bias.assign(self._bias() + self.bias_offset)
        return plain

    def get_config(self):
        return {
            **super().get_config(),
            "data_dependent_init": self.data_dependent_init,
        }
