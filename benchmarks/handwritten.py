"""The wrappers' methods, each written out by hand in one bare layer.

They are rivals in `layer_pairs.py`: what a wrapper costs beyond these, it costs
because it wraps. They do not save, mask, round or check anything.
"""

import keras
from keras import ops


class HandWritten(keras.layers.Dense):
    """A dense layer whose kernel is computed anew in each call."""

    def __init__(self, units):
        super().__init__(units)
        self.seed_generator = keras.random.SeedGenerator(0)

    def effective(self, kernel):
        """Returns the kernel to multiply by."""
        raise NotImplementedError

    def call(self, inputs, training=None):
        kernel = self.effective(ops.convert_to_tensor(self._kernel))
        return ops.matmul(inputs, kernel) + self.bias


class WeightNormalized(HandWritten):
    """The kernel as length times direction."""

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight((self.units,), "ones")

    def effective(self, kernel):
        norm = ops.sqrt(ops.sum(ops.square(kernel), axis=0))
        return kernel * (self.gain / norm)


class WeightStandardized(HandWritten):
    """The kernel with mean 0 and variance 1 for each unit."""

    def effective(self, kernel):
        centered = kernel - ops.mean(kernel, axis=0)
        variance = ops.mean(ops.square(centered), axis=0)
        return centered * ops.rsqrt(variance + 1e-5)


class SpectrallyNormalized(HandWritten):
    """The kernel over its largest singular value."""

    def build(self, input_shape):
        super().build(input_shape)
        self.vector = self.add_weight((self.units,), trainable=False)

    def effective(self, kernel):
        constant = ops.stop_gradient(kernel)
        left = ops.matmul(constant, self.vector)
        left = left / ops.norm(left)
        right = ops.matmul(left, constant)
        right = right / ops.norm(right)
        self.vector.assign(right)
        return kernel / ops.sum(left * ops.matmul(kernel, right))


class DropConnected(HandWritten):
    """The kernel with half of its weights dropped."""

    def effective(self, kernel):
        noise = keras.random.uniform(kernel.shape, seed=self.seed_generator)
        return ops.where(noise >= 0.5, kernel / 0.5, ops.zeros_like(kernel))


class NoisyWeights(HandWritten):
    """The kernel with Gaussian noise."""

    def effective(self, kernel):
        noise = keras.random.normal(
            kernel.shape, stddev=0.1, seed=self.seed_generator
        )
        return kernel + noise


class ConcreteDropped(HandWritten):
    """Inputs dropped at a learned rate."""

    def build(self, input_shape):
        super().build(input_shape)
        self.logit = self.add_weight((), "ones")

    def call(self, inputs, training=None):
        rate = ops.sigmoid(self.logit)
        squares = ops.sum(ops.square(self._kernel))
        entropy = -(rate * ops.log(rate) + (1 - rate) * ops.log(1 - rate))
        self.add_loss(1e-6 * (squares / (1 - rate) - entropy))
        uniform = keras.random.uniform(
            ops.shape(inputs), minval=1e-7, seed=self.seed_generator
        )
        logit = self.logit + ops.log(uniform) - ops.log1p(-uniform)
        inputs = inputs * (ops.sigmoid(-logit / 0.1) / (1 - rate))
        return ops.matmul(inputs, self._kernel) + self.bias


class VariationallyDropped(HandWritten):
    """Gaussian noise of a learned variance for each weight."""

    def build(self, input_shape):
        super().build(input_shape)
        self.log_variance = self.add_weight(self._kernel.shape, "zeros")

    def call(self, inputs, training=None):
        squares = ops.square(self._kernel)
        log_alpha = self.log_variance - ops.log(squares + 1e-8)
        negative = 0.63576 * ops.sigmoid(1.87320 + 1.48695 * log_alpha)
        divergence = 0.5 * ops.softplus(-log_alpha) - negative
        self.add_loss(1e-6 * ops.sum(divergence))
        mean = ops.matmul(inputs, self._kernel) + self.bias
        variance = ops.matmul(ops.square(inputs), ops.exp(self.log_variance))
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + noise * ops.sqrt(ops.maximum(variance, 1e-12))
