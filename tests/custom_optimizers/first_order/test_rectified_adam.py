import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import RectifiedAdam
from keras_regimen.custom_optimizers.first_order import rectified_adam


@pytest.mark.parametrize(
    ("betas", "decay"), [((0.9, 0.999), 0), ((0.5, 0.9), 0.25), ((0, 0.6), 0)]
)
def test_path_is_that_of_pytorch(path, tolerance, task, betas, decay):
    torch = pytest.importorskip("torch")
    weight, gradients = task
    parameter = torch.nn.Parameter(torch.tensor(weight))
    reference = torch.optim.RAdam(
        # Learning rates are float32 in Keras: 1/8 is exact.
        [parameter], lr=0.125, betas=betas, eps=1e-6,
        weight_decay=decay, decoupled_weight_decay=True,
    )  # fmt: skip
    expected = []
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        reference.step()
        expected.append(parameter.detach().numpy().copy())
    optimizer = RectifiedAdam(0.125, *betas, 1e-6, weight_decay=decay or None)
    found = path(optimizer, weight, gradients)
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance / 2
    )


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.999, 0.99999])
def test_length_of_the_average_keeps_its_digits_in_float32(beta):
    steps = np.array([1, 2, 3, 5, 6, 10, 100, 1000, 10_000, 100_000])
    gaps = -np.expm1(steps * np.log(np.longdouble(beta)))
    exact = (1 + beta) / (1 - np.longdouble(beta))
    exact -= 2 * steps * np.longdouble(beta) ** steps / gaps
    found = rectified_adam._average_length(
        beta, ops.convert_to_tensor(steps.astype("float32"))
    )
    # Past the first steps the paper's own form loses nothing, nor does ours.
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), exact.astype("float64"), rtol=2e-6
    )


def test_first_steps_follow_the_momentum_whatever_the_scale(path):
    gradient = np.array([1e-3, 1.0, 1e3])
    found = path(RectifiedAdam(0.5), np.zeros(3), [gradient] * 5)
    np.testing.assert_allclose(found[4], -2.5 * gradient, rtol=1e-5)


def test_late_steps_are_those_of_adam(path):
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(70, 5))
    ours = path(RectifiedAdam(0.01, beta_2=0.8), np.zeros(5), gradients)
    adam = path(keras.optimizers.Adam(0.01, beta_2=0.8), np.zeros(5), gradients)
    late = np.diff(ours[60:], axis=0), np.diff(adam[60:], axis=0)
    np.testing.assert_allclose(*late, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", -0.1, r"\[0, inf\)"),
        ("beta_1", 1.0, r"\[0, 1\)"),
        ("beta_2", 0.0, r"\(0, 1\)"),
        ("beta_2", float("nan"), r"\(0, 1\)"),
        ("epsilon", -1e-7, r"\[0, inf\)"),
    ],
)
def test_bad_argument_says_what_was_received(name, value, allowed):
    with pytest.raises(
        ValueError, match=rf"`{name}`.*{allowed}.*{name}={value}"
    ):
        RectifiedAdam(**{name: value})
