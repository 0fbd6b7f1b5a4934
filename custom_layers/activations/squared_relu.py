"""The squared rectifier."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_regimen")
class SquaredReLU(keras.layers.Layer):
    """Squares what is positive, and gives zero for the rest: `max(x, 0)^2`.

    Use it in the feed-forward part of a Transformer, in place of ReLU or GELU.
    Its slope is 0 at 0 and grows with the input, so it has no kink; and it
    has no bound, so keep inputs normalized (float16 ends at inputs of 255).
    An input mask is passed on unchanged.

    Args:
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of any shape.

    Returns:
        Float tensor of the same shape as `inputs`.

    Example:

    >>> outputs = SquaredReLU()(np.array([-2.0, 0.5, 3.0]))
    >>> [float(output) for output in outputs]
    [0.0, 0.25, 9.0]

    Reference:

    - So, Mańke, Liu, Dai, Shazeer and Le, "Primer: Searching for Efficient
      Transformers for Language Modeling",
      [2021](https://arxiv.org/abs/2109.08668), section 3. No difference.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return ops.square(ops.relu(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape
