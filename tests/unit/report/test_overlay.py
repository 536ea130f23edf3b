from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.errors import InputError
from repro.report.lettering import draw_legend, draw_line, line_height, text_width
from repro.report.overlay import montage, overlay, present, save_overlay, stack
from repro.report.palette import VOC_CLASSES, voc_colormap

GREY = np.full((40, 60, 3), 100, np.uint8)


def square(label: int) -> np.ndarray:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 20:40] = label
    return labels


def test_background_stays_and_regions_are_tinted_and_outlined() -> None:
    shown = overlay(GREY, square(15), alpha=0.5)
    assert (shown[square(15) == 0] == 100).all()
    assert shown[20, 30].tolist() == [146, 114, 114]
    assert shown[10, 20].tolist() == [192, 128, 128]


def test_void_is_cream_without_outline() -> None:
    shown = overlay(GREY, square(255), alpha=1.0)
    assert shown[20, 30].tolist() == shown[10, 20].tolist() == [224, 224, 192]


def test_a_colour_does_not_depend_on_the_hue_beneath() -> None:
    image = GREY.copy()
    image[20, 30] = (255, 40, 0)  # as light as the grey around it
    shown = overlay(image, square(7))
    assert np.ptp(shown[18:23, 28:33].reshape(-1, 3).astype(int), axis=0).max() <= 1


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_out_of_range(alpha: float) -> None:
    with pytest.raises(InputError, match="alpha"):
        overlay(GREY, square(1), alpha)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (GREY, square(1)[1:]),
        (GREY, square(1).astype(np.int64)),
        (GREY.astype(np.float32), square(1)),
        (GREY[..., 0], square(1)),
        (np.zeros((0, 5, 3), np.uint8), np.zeros((0, 5), np.uint8)),
    ],
)
def test_what_does_not_belong_together(image: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(InputError):
        overlay(image, labels)


def test_the_saved_overlay_has_the_legend_below(tmp_path: Path) -> None:
    save_overlay(tmp_path / "plain.png", GREY, square(3), legend=False)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "plain.png")), overlay(GREY, square(3)))
    save_overlay(tmp_path / "named.png", GREY, square(3))
    named = np.asarray(Image.open(tmp_path / "named.png"))
    assert named.shape == (40 + line_height(), 160, 3)
    assert (named[40:] == voc_colormap()[3]).all(-1).sum() > 100
    assert (named[40:] < 60).all(-1).any()  # ink


def test_the_legend_wraps_and_names_what_has_no_name() -> None:
    wide = draw_legend([1, 2, 3], VOC_CLASSES, 1000)
    narrow = draw_legend([1, 2, 3], VOC_CLASSES, 90)
    assert wide.shape == (line_height(), 1000, 3)
    assert narrow.shape == (3 * line_height(), 90, 3)
    assert draw_legend([], VOC_CLASSES, 50).shape == (line_height(), 50, 3)
    assert draw_legend([200, 255], VOC_CLASSES, 300).shape[1] == 300


def test_long_text_is_shortened_to_its_place() -> None:
    picture = np.full((line_height(), 300, 3), 255, np.uint8)
    draw_line(picture, "an exceedingly long caption for a narrow column", 10, 80)
    assert (picture < 255).any()
    assert (picture[:, 81:] == 255).all()
    assert text_width("ab") > text_width("a")


def test_present_classes() -> None:
    assert present(square(9), square(255), square(2)) == [2, 9, 255]


def test_a_montage_holds_every_picture_at_its_place() -> None:
    red, blue = np.zeros((50, 100, 3), np.uint8), np.zeros((100, 50, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    sheet = montage([[red, blue], [blue]], ["left", "right"], ["first", "second"], cell=(100, 80), gap=4, classes=[1])
    assert sheet.shape[1] == 2 * 100 + 3 * 4
    top = line_height() + 40  # the first row is 80 high
    assert sheet[top, 4 + 50].tolist() == [255, 0, 0]
    assert sheet[top, 4 + 100 + 4 + 50].tolist() == [0, 0, 255]
    assert sheet[top + 80 + line_height() + 4, 4 + 50].tolist() == [0, 0, 255]


def test_montages_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="at least one"):
        montage([])
    with pytest.raises(InputError, match="3 captions for 1 columns"):
        montage([[GREY]], ["a", "b", "c"])
    with pytest.raises(InputError, match="2 row captions for 1 rows"):
        montage([[GREY]], row_captions=["a", "b"])


def test_stacked_pictures_are_centred() -> None:
    sheet = stack([np.zeros((1, 2, 3), np.uint8), np.zeros((1, 4, 3), np.uint8)])
    assert sheet[..., 0].tolist() == [[255, 0, 0, 255], [0, 0, 0, 0]]
