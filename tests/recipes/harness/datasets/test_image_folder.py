import numpy as np
import pytest
import tensorflow as tf

from keras_regimen.recipes.harness.datasets.image_folder import open_folder
from keras_regimen.recipes.harness.datasets.row_parts import row_parts
from keras_regimen.recipes.harness.refusal import RefusalError

IMAGES = {
    (name, i): np.random.default_rng([ord(name[0]), i])
    .integers(0, 256, (6, 5, 3))
    .astype("uint8")
    for name in ("cat", "dog")
    for i in range(10)
}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "photos"
    for (name, i), image in IMAGES.items():
        path = root / name / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image).numpy())
    (root / "readme.txt").write_text("not an image")
    (root / ".hidden").mkdir()
    return root


def test_inputs_are_the_pixels_and_labels_the_folders(photos):
    source = open_folder(photos)
    splits = source(4)
    y = np.repeat([0, 1], 10).astype("int32")
    rows = row_parts(y, 4)[0]
    stacked = np.stack(list(IMAGES.values()))[rows].astype("float32") / 255
    np.testing.assert_array_equal(splits.train[0], stacked)
    np.testing.assert_array_equal(splits.train[1], y[rows])
    assert source.sentence == (
        "photos/: 20 images, as 6 x 5 x 3, 2 classes (cat 10, dog 10)"
    )


def test_all_four_formats_are_read(photos):
    gray = np.full((6, 5, 3), 80, "uint8")
    bmp = (
        b"BM" + (54 + 6 * 16).to_bytes(4, "little") + bytes(4)
        + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
        + (5).to_bytes(4, "little") + (6).to_bytes(4, "little")
        + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
        + (bytes([80] * 15) + bytes(1)) * 6
    )  # fmt: skip
    # One pixel: a header, a palette of two grays, and the code for the first.
    gif = (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes([80] * 3 + [0] * 3)
        + b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )  # fmt: skip
    for name, content in {
        "z1.JPG": tf.io.encode_jpeg(gray, quality=100).numpy(),
        "z2.bmp": bmp,
        "z3.gif": gif,
    }.items():
        (photos / "dog" / name).write_bytes(content)
    splits = open_folder(photos)(0)
    pairs = (splits.train, splits.validation, splits.test)
    x = np.concatenate([x for x, _ in pairs]) * 255
    flat = [image for image in x if image.std() == 0]
    np.testing.assert_array_equal(np.round(flat), np.full((3, 6, 5, 3), 80))


def test_a_changed_image_is_other_data_and_a_moved_folder_is_not(
    photos, tmp_path
):
    before = open_folder(photos)
    moved = photos.rename(tmp_path / "there")
    moved = moved.rename(tmp_path / "elsewhere")
    assert open_folder(moved).digest == before.digest
    image = 255 - IMAGES["cat", 3]
    (moved / "cat" / "3.png").write_bytes(tf.io.encode_png(image).numpy())
    assert open_folder(moved).digest != before.digest
    with pytest.raises(RefusalError, match="cannot be read"):
        before(0)


def test_larger_than_memory_it_is_streamed(photos, monkeypatch):
    held = open_folder(photos)(0)
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "0.001")
    source = open_folder(photos)
    assert source.sentence.endswith(", streamed from disk")
    streamed = source(0)
    assert streamed.streamed
    np.testing.assert_array_equal(
        streamed.test.batch(np.arange(4))[0], held.test[0][:4]
    )


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("cat", "0 subfolders with images"),
        ("..", "photos holds folders, and no images"),
    ],
)
def test_a_folder_of_another_form_is_a_sentence(photos, place, sentence):
    with pytest.raises(RefusalError, match=sentence):
        open_folder((photos / place).resolve())


def test_a_file_that_is_no_image_is_named(photos):
    (photos / "cat" / "broken.png").write_bytes(b"no image")
    with pytest.raises(RefusalError, match="broken.png is no image"):
        open_folder(photos)
