"""An LSTM cell with batch normalization, statistics for each time step."""

import numbers
from collections.abc import Callable

import keras
from keras import ops

from .lstm_step import advance, project

if keras.config.backend() == "jax":
    from .._jax import would_leak


@keras.saving.register_keras_serializable(package="keras_regimen")
class BatchNormLSTMCell(keras.layers.LSTMCell):
    """An LSTM cell with batch normalization, statistics for each time step.

    Use it in `keras.layers.RNN`, in a stack of cells for instance; else use
    `BatchNormLSTM`, which is faster, knows which samples are masked, runs
    under `tf.distribute`, and needs no `unroll=True` on JAX. What comes from
    the inputs, what comes from the hidden state, and the memory on its way to
    the output, are each normalized over the batch, every time step by itself.
    At inference each step has its own moving statistics, and steps beyond
    `max_length` use those of the last.

    A third state counts the steps that a sample has seen. The cell cannot see
    a mask: where sequences end early, their padding enters the statistics.
    Pad at the end. In a loop that is not unrolled, Keras runs the first step
    one more time to learn its shapes, so its statistics move twice a call on
    TensorFlow and PyTorch. Statistics are float32 whatever the policy.

    Args:
        units: Positive integer. The size of the output, the hidden state and
            the memory.
        max_length: Integer in `[1, 65536]`. The number of time steps with
            statistics of their own: the length of the longest sequence that
            is trained on. In training, steps beyond it are normalized by
            their batch and leave no trace.
        momentum: Float in `[0, 1]`. The share of the moving statistics that
            is kept at each update. Default 0.99.
        epsilon: Positive float. Added to the variance. Default 1e-3.
        initial_gamma: Positive float. The scale that all three normalizations
            start with. Default 0.1: with 1, tanh saturates and gradients
            vanish over time.
        **kwargs: The other arguments of `keras.layers.LSTMCell`: activations,
            initializers, regularizers, constraints, `use_bias`, `dropout`,
            `recurrent_dropout` and `seed`.

    Call arguments:
        inputs: Float tensor of shape `(batch, features)`.
        states: List of three tensors: hidden state and memory,
            `(batch, units)`, and the count of steps, `(batch, 2)`.
        training: Boolean. If `True` (and `trainable` is), statistics of the
            batch are used, otherwise the moving ones.

    Returns:
        The output `(batch, units)`, and the list of new states.

    Raises:
        ValueError: If an argument is outside its range. On JAX also where the
            cell trains in a loop that is not unrolled.

    Example:

    >>> cell = BatchNormLSTMCell(8, max_length=5)
    >>> layer = keras.layers.RNN(cell, unroll=True)
    >>> tuple(layer(keras.ops.ones((2, 5, 3)), training=True).shape)
    (2, 8)

    Reference:

    - Cooijmans, Ballas, Laurent, Gülçehre and Courville, "Recurrent Batch
      Normalization", [2016](https://arxiv.org/abs/1603.09025), equations 6 to
      8. As there, only the memory has a shift, the gates' bias serving the
      other two. We keep moving averages with the unbiased variance while
      training; the paper's estimates are made from the training set.
    """

    def __init__(
        self,
        units: int,
        max_length: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        initial_gamma: float = 0.1,
        **kwargs,
    ):
        if not (isinstance(units, numbers.Integral) and units > 0):
            raise ValueError(
                f"`units` must be a positive integer. Received: units={units}"
            )
        if not (
            isinstance(max_length, numbers.Integral) and 0 < max_length <= 2**16
        ):
            raise ValueError(
                "`max_length` must be an integer in [1, 65536], the number of "
                "time steps with statistics of their own. "
                f"Received: max_length={max_length}"
            )
        if not (isinstance(momentum, numbers.Real) and 0 <= momentum <= 1):
            raise ValueError(
                "`momentum` must be the share in [0, 1] of the moving "
                f"statistics to keep. Received: momentum={momentum}"
            )
        for name, value in (
            ("epsilon", epsilon),
            ("initial_gamma", initial_gamma),
        ):
            if not (
                isinstance(value, numbers.Real) and 0 < value < float("inf")
            ):
                raise ValueError(
                    f"`{name}` must be a positive number. "
                    f"Received: {name}={value}"
                )
        super().__init__(units, **kwargs)
        self.max_length: int = int(max_length)
        self.momentum: float = float(momentum)
        self.epsilon = float(epsilon)
        self.initial_gamma = float(initial_gamma)
        self.state_size = [units, units, 2]

    def build(self, input_shape):
        super().build(input_shape)
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        self.gamma, self.moving_mean, self.moving_variance = {}, {}, {}
        for name, size in (
            ("input", 4 * self.units),
            ("recurrent", 4 * self.units),
            ("state", self.units),
        ):
            self.gamma[name] = self.add_weight(
                (size,),
                keras.initializers.Constant(self.initial_gamma),
                name=f"{name}_gamma",
            )
            for moving, initializer in (
                (self.moving_mean, "zeros"),
                (self.moving_variance, "ones"),
            ):
                kind = "mean" if initializer == "zeros" else "variance"
                moving[name] = self.add_weight(
                    (self.max_length, size),
                    initializer,
                    dtype=dtype,
                    trainable=False,
                    autocast=False,
                    # Keras' default keeps what replica 0 saw.
                    aggregation="mean",
                    name=f"{name}_moving_{kind}",
                )
        self.beta = self.add_weight((self.units,), "zeros", name="state_beta")

    def call(self, inputs, states, training=False):
        hidden, carry, counted = states
        steps = self.steps(counted)
        observed: dict = {}
        learning = training and self.trainable
        if learning:
            if keras.config.backend() == "jax" and would_leak(
                self.moving_mean["state"]
            ):
                raise ValueError(
                    "On JAX, `BatchNormLSTMCell` trains in an unrolled loop "
                    "only, since nothing can be updated inside a compiled "
                    "one. Use `keras.layers.RNN(cell, unroll=True)`, or "
                    "`BatchNormLSTM`. Received: training=True"
                )
            normalize = self.by_batch(None, observed)
        else:
            normalize = self.by_moving(steps)
        dropped, recurrent = self.masks(inputs, hidden, training)
        gates = normalize("input", project(inputs, self.kernel, dropped))
        hidden, carry = self.step(gates, hidden, carry, normalize, recurrent)
        if learning:
            rows = ops.cast(ops.shape(inputs)[0], "float32")
            self.move(
                {k: (m[None], v[None]) for k, (m, v) in observed.items()},
                ops.max(steps),
                ops.reshape(rows, (1,)),
            )
        return hidden, [hidden, carry, self.counted(steps + 1, counted)]

    def masks(self, inputs, hidden, training):
        """Returns the dropout masks of inputs and hidden state, or `None`."""
        dropped = recurrent = None
        if training and 0 < self.dropout < 1:
            dropped = self.get_dropout_mask(inputs)
        if training and 0 < self.recurrent_dropout < 1:
            recurrent = self.get_recurrent_dropout_mask(hidden)
        return dropped, recurrent

    def step(self, gates, hidden, carry, normalize: Callable, mask):
        """Returns the new hidden state and memory.

        Args:
            gates: Float tensor `(batch, 4 * units)`: what the inputs add to
                the gates, normalized.
            hidden: Float tensor `(batch, units)`, the hidden state.
            carry: Float tensor `(batch, units)`, the memory.
            normalize: What `by_batch` or `by_moving` returned.
            mask: What multiplies the hidden state, or `None`.

        Returns:
            Two tensors `(batch, units)`.
        """
        gates = gates + normalize(
            "recurrent", project(hidden, self.recurrent_kernel, mask)
        )
        if self.use_bias:
            gates = gates + self.bias
        return advance(
            self,
            gates,
            carry,
            lambda memory: normalize("state", memory) + self.beta,
        )

    def by_batch(self, active, observed: dict):
        """Returns a function that normalizes over the batch, the first axis.

        Args:
            active: Boolean tensor `(batch, 1)` or `(batch, time, 1)` that is
                `True` where a sample counts; `None` if all do.
            observed: Dictionary that takes mean and variance by name.

        Returns:
            Function of a name ("input", "recurrent" or "state") and a tensor.
        """

        def average(values):
            if active is None:
                return ops.mean(values, axis=0, keepdims=True)
            count = ops.sum(ops.cast(active, values.dtype), 0, keepdims=True)
            total = ops.sum(ops.where(active, values, 0), 0, keepdims=True)
            return total / ops.maximum(count, 1)

        def normalize(name, values):
            values = _widen(values)
            mean = average(values)
            centered = values - mean
            variance = average(ops.square(centered))
            observed[name] = tuple(map(ops.stop_gradient, (mean, variance)))
            factor = ops.rsqrt(variance + self.epsilon)
            factor = factor * ops.cast(self.gamma[name], factor.dtype)
            return ops.cast(centered * factor, self.compute_dtype)

        return normalize

    def by_moving(self, steps):
        """Returns a function that normalizes by the moving statistics.

        Args:
            steps: Integer tensor, the time steps to take them from: a scalar,
                `(batch,)`, or `(time,)` for tensors `(batch, time, ...)`.

        Returns:
            Function of a name ("input", "recurrent" or "state") and a tensor.
        """
        row = ops.minimum(steps, self.max_length - 1)

        def normalize(name, values):
            values = _widen(values)
            mean, variance = (
                ops.take(ops.convert_to_tensor(moving[name]), row, axis=0)
                for moving in (self.moving_mean, self.moving_variance)
            )
            factor = ops.rsqrt(variance + self.epsilon)
            factor = factor * ops.cast(self.gamma[name], factor.dtype)
            return ops.cast((values - mean) * factor, self.compute_dtype)

        return normalize

    def move(self, observed: dict, start, count):
        """Moves the statistics of the steps that were seen.

        Args:
            observed: Dictionary from a name to mean and biased variance, each
                `(1, time, ...)`.
            start: Integer or integer scalar tensor, the first of the steps.
            count: Float tensor `(time,)`, the samples that each step had. A
                mean takes one and a variance two, else the old stays.
        """
        any_mean, _ = observed["state"]
        length = ops.shape(any_mean)[1]
        count = ops.cast(count, any_mean.dtype)
        offset = ops.arange(self.max_length) - start
        seen = ops.logical_and(offset >= 0, offset < length)
        offset = ops.clip(offset, 0, length - 1)
        count = ops.where(seen, ops.take(count, offset, axis=0), 0)[:, None]
        for name, (mean, variance) in observed.items():
            unbias = ops.take(variance[0], offset, axis=0) * (
                count / ops.maximum(count - 1, 1)
            )
            for moving, new, enough in (
                (self.moving_mean, ops.take(mean[0], offset, axis=0), 1),
                (self.moving_variance, unbias, 2),
            ):
                old = ops.convert_to_tensor(moving[name])
                new = old * self.momentum + new * (1 - self.momentum)
                moving[name].assign(ops.where(count >= enough, new, old))

    def steps(self, counted):
        """Returns the number of steps, an integer for each sample."""
        low, high = ops.unstack(ops.cast(counted, "int32"), 2, axis=-1)
        return low + 256 * high

    def counted(self, steps, like):
        """Returns the state for a number of steps, of the dtype of `like`."""
        # In two digits, since bfloat16 counts to 256 only.
        steps = ops.minimum(steps, self.max_length)
        digits = ops.stack([steps % 256, steps // 256], axis=-1)
        return ops.cast(digits, like.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "initial_gamma": self.initial_gamma,
        }


def _widen(values):
    dtype = keras.backend.result_type(values.dtype, "float32")
    return ops.cast(values, dtype)
