from functools import partial

import pytest

from keras_regimen.recipes.harness import datasets
from keras_regimen.recipes.harness.datasets import data_source
from keras_regimen.recipes.harness.refusal import RefusalError


def moons(seed):
    return seed


class Drawn:
    def __call__(self, seed):
        return seed


def test_a_name_stands_for_what_the_recipe_declares():
    assert data_source.condition({"": moons}, "") is moons
    # Even where the package has data of that name.
    assert data_source.condition({"wine": moons}, "wine") is moons


@pytest.mark.parametrize("name", data_source.BUNDLED)
def test_other_names_are_bundled_data_with_default_settings(name):
    source = data_source.condition({"": moons}, name)
    assert source == getattr(datasets, name)()
    assert data_source.label(source) == f"{name}()"


def test_an_unknown_name_is_refused_with_the_known_ones():
    bundled = ", ".join(data_source.BUNDLED)
    for declared, own in (
        ({"": moons}, ""),
        ({"noisy": moons, "clean": moons}, "noisy, clean, "),
    ):
        with pytest.raises(RefusalError) as refused:
            data_source.condition(declared, "mnist")
        assert str(refused.value) == (
            f"no data named 'mnist'; known are {own}{bundled}"
        )


@pytest.mark.parametrize(
    ("source", "label"),
    [
        (datasets.wine(label_noise=0.25), "wine(label_noise=0.25)"),
        (moons, "moons"),
        (Drawn(), "Drawn"),
        (partial(moons), "partial"),
    ],
)
def test_a_row_says_what_drew_its_data(source, label):
    assert data_source.label(source) == label
