import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_regimen.recipes.harness.datasets.row_parts import row_parts
from keras_regimen.recipes.harness.datasets.tfds_name import open_tfds
from keras_regimen.recipes.harness.refusal import RefusalError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 3, 1)).astype("uint8")
LABELS = np.arange(60) % 3
VECTORS = RNG.normal(size=(60, 5)).astype("float32")


def store(data_dir, x, y, x_feature, y_feature, splits, **options):
    """Prepares a set as a user does, in TFDS's own words."""
    cuts, start = {}, 0
    for split, rows in splits.items():
        part = slice(start, start + rows)
        cuts[split] = tf.data.Dataset.from_tensor_slices(
            {"image": x[part], "label": y[part]}
        )
        start += rows
    tfds.dataset_builders.store_as_tfds_dataset(
        **{"name": "shapes", "version": "1.2.0", **options},
        features=tfds.features.FeaturesDict(
            {"image": x_feature, "label": y_feature}
        ),
        split_datasets=cuts,
        data_dir=data_dir,
        disable_shuffling=True,
    )


def store_images(data_dir, splits, **options):
    store(
        data_dir,
        IMAGES,
        LABELS,
        tfds.features.Image(shape=(4, 3, 1)),
        tfds.features.ClassLabel(num_classes=3),
        splits,
        **options,
    )


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "tfds"


def test_its_test_split_stays_and_validation_is_drawn_by_seed(data_dir):
    store_images(data_dir, {"train": 45, "test": 15})
    source = open_tfds("shapes", data_dir)
    for seed in (0, 1):
        splits = source(seed)
        np.testing.assert_array_equal(
            splits.test[0], IMAGES[45:].astype("float32") / 255
        )
        np.testing.assert_array_equal(splits.test[1], LABELS[45:])
        rows = row_parts(LABELS.astype("int32"), seed, test_from=45)
        np.testing.assert_array_equal(
            splits.validation[0], IMAGES[rows[1]].astype("float32") / 255
        )
    assert source.name.startswith("shapes:1.2.0@")
    assert source.sentence == (
        "shapes:1.2.0: 60 rows of shape (4, 3, 1), 15 of them its test split, "
        "target: 3 classes"
    )


def test_a_set_with_train_alone_is_split_by_seed(data_dir):
    store(
        data_dir,
        VECTORS,
        VECTORS[:, 0],
        tfds.features.Tensor(shape=(5,), dtype=np.float32),
        tfds.features.Scalar(dtype=np.float32),
        {"train": 60},
    )
    splits = open_tfds("shapes", data_dir)(3)
    rows = row_parts(VECTORS[:, :1], 3)
    np.testing.assert_array_equal(splits.train[0], VECTORS[rows[0]])
    assert (splits.target, len(splits.test[0])) == ("real", 12)


def test_a_moved_data_dir_is_the_same_data(data_dir, tmp_path):
    store_images(data_dir, {"train": 60})
    before = open_tfds("shapes", data_dir)
    moved = data_dir.rename(tmp_path / "moved")
    after = open_tfds("shapes", moved)
    assert after.name == before.name
    assert after(0).fingerprint == before.draw(0).fingerprint


def test_another_version_is_other_data_and_the_last_one_is_taken(data_dir):
    store_images(data_dir, {"train": 60}, version="1.9.0")
    store_images(data_dir, {"train": 50, "test": 10}, version="1.10.0")
    assert open_tfds("shapes", data_dir).label == "shapes:1.10.0"
    assert open_tfds("shapes:1.9.0", data_dir).label == "shapes:1.9.0"


def test_a_config_is_a_part_of_the_name(data_dir):
    store_images(data_dir, {"train": 60}, config="small")
    assert open_tfds("shapes", data_dir).label == "shapes/small:1.2.0"
    assert open_tfds("shapes/small", data_dir)(0).counts["train"] == 36


def test_larger_than_memory_it_is_streamed(data_dir, monkeypatch):
    store_images(data_dir, {"train": 45, "test": 15})
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "0.001")
    streamed = open_tfds("shapes", data_dir)(0)
    assert streamed.streamed
    np.testing.assert_array_equal(
        streamed.test.batch(np.arange(15))[0],
        IMAGES[45:].astype("float32") / 255,
    )


@pytest.mark.parametrize(
    ("x", "feature", "splits", "sentence"),
    [
        (["a"] * 60, tfds.features.Text(), {"train": 60}, "fixed shape.*Text"),
        (VECTORS, tfds.features.Tensor(shape=(5,), dtype=np.float32),
         {"every": 60}, "no split named train; it has every"),
    ],
)  # fmt: skip
def test_a_set_of_another_kind_is_a_sentence(
    data_dir, x, feature, splits, sentence
):
    label = tfds.features.ClassLabel(num_classes=3)
    store(data_dir, np.array(x), LABELS, feature, label, splits)
    with pytest.raises(RefusalError, match=sentence):
        open_tfds("shapes", data_dir)


def test_hidden_labels_are_a_sentence(data_dir):
    feature = tfds.features.Tensor(shape=(5,), dtype=np.float32)
    label = tfds.features.ClassLabel(num_classes=3)
    store(data_dir, VECTORS, LABELS - 1, feature, label, {"train": 60})
    with pytest.raises(RefusalError, match="hides labels: they are -1"):
        open_tfds("shapes", data_dir)


def test_an_unknown_name_is_left_to_the_caller(data_dir):
    with pytest.raises(LookupError):
        open_tfds("shapes", data_dir)
