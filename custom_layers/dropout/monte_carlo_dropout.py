"""Dropout that stays on at prediction."""

import keras

from .standard_dropout import StandardDropout


@keras.saving.register_keras_serializable(package="keras_regimen")
class MonteCarloDropout(StandardDropout):
    """Drops units while training and at prediction alike.

    Use it in place of `keras.layers.Dropout` in a model whose predictions are
    to be samples: each call of `model.predict` gives another one, and the
    other layers, batch normalization above all, stay in inference mode (which
    `model(x, training=True)` would not leave them in). The surviving units are
    multiplied by `1 / (1 - rate)`. At rate 0 the layer is the identity. An
    input mask is passed on unchanged. For means and measures of uncertainty
    use `predict_with_uncertainty`, which takes a model with Keras' own
    `Dropout` as well.

    Args:
        rate: Float in `[0, 1)`. The probability that a unit is dropped. 0
            turns the layer off.
        noise_shape: Optional tuple of positive integers or `None`, of the
            inputs' rank: the shape of the mask, broadcast to the inputs.
            `None` in it stands for the inputs' own size: `(None, 1, None)`
            drops a feature in all time steps of `(batch, time, features)`.
            Default `None`: each unit is drawn by itself.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of masks.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of any shape. The batch size may change between
            calls.
        training: Boolean. Makes no difference.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `rate` is outside `[0, 1)`, `noise_shape` holds
            anything but positive integers and `None`, its rank is not the
            inputs', or `seed` is not an integer in `[0, 2**31)`.

    Example:

    >>> layer = MonteCarloDropout(rate=0.5, seed=1)
    >>> outputs = layer(keras.ops.ones((1, 64)), training=False)
    >>> sorted({float(output) for output in outputs[0]})
    [0.0, 2.0]

    Reference:

    - Gal and Ghahramani, "Dropout as a Bayesian Approximation: Representing
      Model Uncertainty in Deep Learning",
      [2016](https://arxiv.org/abs/1506.02142), section 3. The paper drops
      before every layer of weights and does not scale; we scale, as Keras
      does, so the two differ by a factor in the weights.
    """

    def call(self, inputs, training=None):
        if self.rate == 0:
            return inputs
        scaled = inputs / (1 - self.rate)
        # The 2014 layer in training: the mask alone.
        return super().call(scaled, training=True)
