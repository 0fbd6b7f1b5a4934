import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.training import prepared
from keras_regimen.recipes.regularization.adversarial_training import (
    EPSILON,
    evaluate,
    recipe,
)


@pytest.fixture(scope="module")
def splits():
    return recipe.at("cpu").data[""](0).to("vector", "classes")


def built(splits, arm):
    hp = HyperParameters(recipe.arms[arm].on())
    return hp, prepared(recipe, hp, Data(splits), seed=0)


def test_arms_start_equal_and_differ_in_what_they_train_on(splits):
    models = {arm: built(splits, arm)[1] for arm in recipe.arms}
    settings = {
        arm: (model.attack, model.epsilon) for arm, model in models.items()
    }
    assert settings == {
        "plain": ("fgsm", 0.0),  # Of size 0, which is plain training.
        "plain_longer": ("fgsm", 0.0),
        "random": ("random", EPSILON),
        "fgsm": ("fgsm", EPSILON),
        "pgd": ("pgd", EPSILON),
    }
    first, *others = (model.get_weights() for model in models.values())
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_longer_is_as_many_gradients_and_its_rate_decays_as_far(splits):
    updates = {}
    cpu = recipe.at("cpu")
    for arm in ("plain", "plain_longer", "fgsm"):
        hp, model = built(splits, arm)
        updates[arm] = cpu.epochs * cpu.steps_per_epoch(hp)
        schedule = keras.saving.serialize_keras_object(model.optimizer)
        decay = schedule["config"]["learning_rate"]["config"]["decay_steps"]
        assert decay == updates[arm]
    # A mixture takes three gradients: by the inputs, and of both losses.
    assert updates["plain_longer"] == 3 * updates["fgsm"]
    assert updates["plain"] == updates["fgsm"]


def test_the_figures_of_a_linear_net_are_those_by_hand(splits):
    """Twenty images, some of them right, and sure of a class by design."""
    kernel = np.random.default_rng(0).normal(0, 0.5, (64, 10))
    net = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(10, use_bias=False)]
    )
    net.add(keras.layers.Softmax())
    net.set_weights([kernel.astype("float32")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    x = splits.test[0][:20].astype("float64")

    def probabilities(x):
        p = np.exp(x @ kernel)
        return p / p.sum(1, keepdims=True)

    y = probabilities(x).argmax(1)
    y[:5] = (y[:5] + 1) % 10
    part = type("Part", (), {"test": (x.astype("float32"), y)})
    found = evaluate(None, net, part)
    assert found["none_error"] == 0.25
    for name, size in (("fgsm", EPSILON), ("large", 2.5 * EPSILON)):
        slope = (probabilities(x) - np.eye(10)[y]) @ kernel.T
        p = probabilities((x + size * np.sign(slope)).clip(0, 1))
        wrong = p.argmax(1) != y
        assert found[f"{name}_error"] == wrong.mean() > 0.25
        doubt = 1 - p.max(1)[wrong].mean()
        assert found[f"{name}_doubt"] == pytest.approx(doubt, rel=1e-3)
    assert found["large_hits"] == pytest.approx(1 - found["large_error"])
    # Ten steps find what one does, and chance less.
    assert found["pgd_error"] >= found["fgsm_error"] > found["random_error"]
    assert found["harm_by_chance"] == found["random_error"] - 0.25


def test_a_net_without_mistakes_has_no_doubt_of_them(splits):
    x, _ = splits.test
    net = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
    kernel, bias = np.zeros((64, 10)), 9 * np.eye(10)[3]
    net.set_weights([kernel, bias])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile("sgd", loss)
    threes = type("Part", (), {"test": (x[:8], np.full(8, 3))})
    found = evaluate(None, net, threes)
    assert found["fgsm_error"] == found["fgsm_doubt"] == 0.0
