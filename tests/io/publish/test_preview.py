"""The preview shows image and labels side by side, in the legend's colours, whatever the size and the names."""

import numpy as np
import pytest
from PIL import Image

from geoseg.core.legend import Legend, LegendClass
from geoseg.io.publish.preview import write_preview

LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="other", colour="#808182"),
        LegendClass(code=9, name="Größe — é漢", colour="#e31a1c"),
        LegendClass(code=10, name="water", colour="#1f78b4"),
    ]
)


def drawn(folder, codes, image=None, *, legend=LEGEND, valid=None, title="scene", things=None):
    image = np.full((3, *codes.shape), 40, np.uint8) if image is None else image
    write_preview(folder / "p.png", image=image, codes=codes, legend=legend, title=title, valid=valid, things=things)
    with Image.open(folder / "p.png") as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def count(pixels, rgb):
    return int((pixels == rgb).all(-1).sum())


def test_each_class_covers_its_share_of_the_panel(tmp_path):
    codes = np.zeros((300, 300), np.uint8)
    codes[:100] = 9
    codes[100:130] = 10
    pixels = drawn(tmp_path, codes)
    swatch = 20 * 20
    assert count(pixels, (0xE3, 0x1A, 0x1C)) == 9 * 100 * 300 + swatch
    assert count(pixels, (0x1F, 0x78, 0xB4)) == 9 * 30 * 300 + swatch
    assert count(pixels, (40, 40, 40)) == 900 * 900


def test_things_of_one_class_that_touch_have_a_line_between_them_and_stuff_has_none(tmp_path):
    codes = np.zeros((90, 90), np.uint8)
    codes[30:60, 30:70] = 9
    codes[70:80] = 10
    things = np.where(codes == 9, np.where(np.arange(90) < 50, 1, 2), 0) - (np.arange(90) < 5)[:, None]
    plain, outlined = drawn(tmp_path, codes), drawn(tmp_path, codes, things=things)
    changed = (plain != outlined).any(-1)
    rows, cols = np.nonzero(changed)
    rows, cols = rows - rows.min(), cols - cols.min()
    line = np.zeros((300, 400), bool)
    for left in (0, 200):
        line[:, [left, left + 199]] = line[[0, -1], left : left + 200] = True
    assert (np.stack(np.nonzero(line)) == np.stack([rows, cols])).all()
    assert (plain[changed] == (0xE3, 0x1A, 0x1C)).all()
    assert (outlined[changed] == (0xE3 // 3, 0x1A // 3, 0x1C // 3)).all()


def test_a_pixel_without_an_answer_has_no_classes_colour(tmp_path):
    codes = np.full((30, 30), 255, np.uint8)
    pixels = drawn(tmp_path, codes, valid=np.zeros((30, 30), bool))
    assert count(pixels, (40, 40, 40)) == 0
    assert all(count(pixels, entry.rgb) <= 20 * 20 for entry in LEGEND.classes)


def test_image_and_labels_lie_on_the_same_pixels(tmp_path):
    codes = np.zeros((90, 120), np.uint8)
    codes[20:50, 30:80] = 9
    image = np.where(codes == 9, 200, 10).astype(np.uint8)[None].repeat(3, 0)
    pixels = drawn(tmp_path, codes, image)
    photo = np.argwhere((pixels == (200, 200, 200)).all(-1))
    labels = np.argwhere((pixels == (0xE3, 0x1A, 0x1C)).all(-1))
    labels = labels[labels[:, 0] <= photo[:, 0].max()]
    shift = labels.min(0) - photo.min(0)
    assert shift[0] == 0
    assert (photo + shift == labels).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1024), (1024, 1), (40, 1000), (1000, 40), (1024, 700)])
def test_any_shape_gives_a_picture_of_sane_size(tmp_path, shape):
    pixels = drawn(tmp_path, np.full(shape, 9, np.uint8))
    assert max(pixels.shape) <= 2000
    assert count(pixels, (0xE3, 0x1A, 0x1C)) > 20 * 20


def test_two_hundred_classes_and_endless_names_fit(tmp_path):
    many = Legend(
        classes=[LegendClass(code=i, name=f"{i} " + "name " * 15, colour=f"#{i:02x}80ff") for i in range(200)]
    )
    codes = np.arange(200 * 100, dtype=np.int64).reshape(200, 100) % 200
    pixels = drawn(tmp_path, codes.astype(np.uint8), legend=many, title="title\n\t\x00 " * 100)
    packed, counts = np.unique(pixels.astype(np.int64) @ (65536, 256, 1), return_counts=True)
    found = dict(zip(packed.tolist(), counts.tolist(), strict=True))
    assert all(found[int(entry.colour[1:], 16)] >= 20 * 20 for entry in many.classes)


def test_the_same_map_gives_the_same_bytes(tmp_path):
    codes = np.random.default_rng(0).choice(np.array([0, 9, 255], np.uint8), (50, 50))
    drawn(tmp_path, codes)
    before = (tmp_path / "p.png").read_bytes()
    drawn(tmp_path, codes)
    assert (tmp_path / "p.png").read_bytes() == before


def test_image_and_labels_must_agree_in_size(tmp_path):
    with pytest.raises(ValueError, match=r"\(3, 5, 6\).*\(5, 5\)"):
        drawn(tmp_path, np.zeros((5, 5), np.uint8), np.zeros((3, 5, 6), np.uint8))
