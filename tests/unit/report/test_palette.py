from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.errors import FormatError, InputError
from repro.report.palette import VOC_CLASSES, load_label_png, save_label_png, voc_colormap

# the colours printed in the VOC devkit's documentation
PRINTED = {
    0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128),
    6: (0, 128, 128), 7: (128, 128, 128), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192),
}  # fmt: skip


def test_the_colours_are_vocs() -> None:
    colours = voc_colormap()
    assert colours.shape == (256, 3)
    assert {label: tuple(colours[label].tolist()) for label in PRINTED} == PRINTED
    assert len({tuple(c) for c in colours.tolist()}) == 256


def test_names_in_vocs_order() -> None:
    assert len(VOC_CLASSES) == 21
    assert (VOC_CLASSES[0], VOC_CLASSES[15], VOC_CLASSES[20]) == ("background", "person", "tvmonitor")


def test_a_label_png_comes_back(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    save_label_png(tmp_path / "a.png", labels)
    loaded = load_label_png(tmp_path / "a.png")
    assert np.array_equal(loaded, labels)
    assert loaded.flags.writeable
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_other_programs_see_the_voc_colours(tmp_path: Path) -> None:
    save_label_png(tmp_path / "a.png", np.array([[0, 15, 255]], np.uint8))
    seen = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert seen.tolist() == [[[0, 0, 0], [192, 128, 128], [224, 224, 192]]]


def test_a_foreign_palette_gives_indices_not_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[3, 1], [0, 2]], np.uint8), mode="P")
    picture.putpalette([9, 9, 9] * 4)
    picture.save(tmp_path / "a.png", bits=2)
    assert load_label_png(tmp_path / "a.png").tolist() == [[3, 1], [0, 2]]


def test_grayscale_values_are_labels(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 20, 255]], np.uint8)).save(tmp_path / "a.png")
    assert load_label_png(tmp_path / "a.png").tolist() == [[0, 20, 255]]


def test_palette_colours_in_rgb_are_mapped_back(tmp_path: Path) -> None:
    labels = np.array([[0, 7, 255], [20, 1, 15]], np.uint8)
    Image.fromarray(voc_colormap()[labels]).save(tmp_path / "a.png")
    assert np.array_equal(load_label_png(tmp_path / "a.png"), labels)


def test_other_colours_in_rgb_are_refused_by_pixel(tmp_path: Path) -> None:
    rgb = voc_colormap()[np.zeros((4, 5), np.uint8)]
    rgb[2, 3] = (10, 20, 30)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match=r"a\.png.*\(10, 20, 30\) at x=3 y=2 \(1 such"):
        load_label_png(tmp_path / "a.png")


def test_narrow_grayscale_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match="mode 1 and 1 bits"):
        load_label_png(tmp_path / "a.png")


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2), np.int64), np.zeros((2, 2, 1), np.uint8), np.zeros((0, 3), np.uint8), [[1]]]
)
def test_only_uint8_planes_are_saved(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8"):
        save_label_png(tmp_path / "a.png", labels)
    assert not list(tmp_path.iterdir())
