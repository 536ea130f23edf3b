"""ImageLabelData: every pixel of a picture can be labelled, in its mirrored surroundings; bad lists are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from repro.caffe import load_net
from repro.data.feeds import Feed, open_feeds
from repro.errors import DataError, InputError

LAYER = """layer {{ name: "data" type: "ImageLabelData" top: "data" top: "label"
  transform_param {{ crop_size: {crop} {transform} }}
  image_label_data_param {{ image_list_path: "images.txt" label_list_path: "labels.txt" batch_size: {batch}
    label_slice {{ {slices} }} {more} }} }}"""
# of a crop of 20 the labels at 4, 7, 10, 13 of each side
SLICES = "dim: 4 dim: 4 stride: 3 stride: 3 offset: 4 offset: 4"


def feed(
    root: Path,
    more: str = "",
    transform: str = "",
    crop: int = 20,
    batch: int = 2,
    slices: str = SLICES,
    phase: str = "TRAIN",
    seed: int = 3,
) -> Feed:
    text = LAYER.format(more=more, transform=transform, crop=crop, batch=batch, slices=slices)
    (one,) = open_feeds(load_net(text, phase=phase), seed, root=root, workers=0)
    return one


@pytest.fixture
def folder(write_pictures: Callable[[int], Path]) -> Path:
    """Three pictures of 18 x 12 whose label is a function of their pixels: blue // 16."""
    root = write_pictures(3)
    (root / "images.txt").write_text("".join(f"{i}.png\n" for i in range(3)))
    (root / "labels.txt").write_text("".join(f"{i}_label.png\n" for i in range(3)))
    return root


def picture(folder: Path, number: int = 0) -> np.ndarray:
    return np.asarray(cv2.imread(str(folder / f"{number}.png")))


def labelled(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Where a label is not 255 it is that of the pixel it stands for."""
    pixels = batch["data"][:, :1, 4:14:3, 4:14:3]
    inside = batch["label"] != 255
    assert torch.equal((pixels // 16)[inside], batch["label"][inside])
    return inside


@pytest.mark.parametrize("mirror", ["", "mirror: true"])
def test_labels_are_those_of_their_pixels(folder: Path, mirror: str) -> None:
    one = feed(folder, transform=mirror, more="shuffle: true", batch=30)
    batch = one.next()
    assert batch["data"].shape == (30, 3, 20, 20)
    assert batch["label"].shape == (30, 1, 4, 4)
    assert labelled(batch).any()


def test_crops_reach_every_pixel(folder: Path) -> None:
    # one label a crop: where it lies in the picture is told by the colours around it
    image = picture(folder)
    wide = cv2.copyMakeBorder(image, 4, 4, 4, 4, cv2.BORDER_REFLECT_101)
    (folder / "images.txt").write_text("0.png")
    (folder / "labels.txt").write_text("0_label.png")
    one = feed(folder, crop=9, batch=3000, slices="dim: 1 dim: 1 stride: 1 stride: 1 offset: 4 offset: 4")
    batch = one.next()
    assert bool((batch["label"] != 255).all())
    middles = {tuple(crop[:, 4, 4].tolist()) for crop in batch["data"].int()}
    assert middles == {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}
    corner = next(c for c in batch["data"] if torch.equal(c[:, 4, 4], torch.from_numpy(image[0, 0]).float()))
    assert torch.equal(corner, torch.from_numpy(wide[:9, :9].transpose(2, 0, 1)).float())


def test_the_middle_is_tested(folder: Path) -> None:
    batch = feed(folder, phase="TEST", transform="mean_value: 5").next()
    wide = cv2.copyMakeBorder(picture(folder), 4, 4, 4, 4, cv2.BORDER_REFLECT_101)
    assert wide.shape[:2] == (20, 26)
    assert torch.equal(batch["data"][0], torch.from_numpy(wide[:, 3:23].transpose(2, 0, 1)).float() - 5)


@pytest.mark.parametrize(("padding", "border"), [("REFLECT", cv2.BORDER_REFLECT_101), ("ZERO", cv2.BORDER_CONSTANT)])
def test_a_picture_smaller_than_the_crop(folder: Path, padding: str, border: int) -> None:
    batch = feed(folder, more=f"padding: {padding}", crop=31).next()
    wide = cv2.copyMakeBorder(picture(folder), 4, 4, 4, 4, border)
    # 11 rows are missing: 5 above, 6 below; 5 columns: 3 on the left, 2 on the right
    wide = cv2.copyMakeBorder(wide, 5, 6, 3, 2, border)
    assert torch.equal(batch["data"][0], torch.from_numpy(wide.transpose(2, 0, 1)).float())
    # the first label is of row 4: above the picture, which begins at 9; at column 7 it begins
    assert batch["label"][0, 0, 0].tolist() == [255] * 4
    assert batch["label"][0, 0, 2, 0] == 255
    assert batch["label"][0, 0, 2, 1] == picture(folder)[1, 0, 0] // 16


def test_scales_are_drawn(folder: Path) -> None:
    (folder / "images.txt").write_text("0.png")
    (folder / "labels.txt").write_text("0_label.png")
    more = "rand_scale: true min_scale: 2 max_scale: 2"
    batch = feed(folder, more=more, phase="TEST", batch=1).next()
    image = cv2.resize(picture(folder), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    wide = cv2.copyMakeBorder(image, 4, 4, 4, 4, cv2.BORDER_REFLECT_101)
    assert torch.equal(batch["data"][0], torch.from_numpy(wide[6:26, 12:32].transpose(2, 0, 1)).float())
    twice = np.repeat(np.repeat(picture(folder)[..., 0] // 16, 2, 0), 2, 1)
    assert np.array_equal(batch["label"][0, 0].numpy(), twice[6:16:3, 12:22:3])
    with pytest.raises(InputError, match="above 0 and in this order"):
        feed(folder, more="rand_scale: true min_scale: 2 max_scale: 1")
    with pytest.raises(DataError, match="a side of no pixel"):
        feed(folder, more="rand_scale: true min_scale: 0.01 max_scale: 0.02", batch=1).next()


def test_folders_before_the_names(folder: Path) -> None:
    deep = folder / "deep"
    deep.mkdir()
    for path in folder.glob("*.png"):
        path.rename(deep / path.name)
    whole = feed(folder, more='data_dir: "deep/"').next()
    each = feed(folder, more='image_dir: "deep/" label_dir: "deep/"').next()
    assert torch.equal(whole["data"], each["data"])
    with pytest.raises(DataError, match=r"labels.txt: 3 of 3 files are missing"):
        feed(folder, more='image_dir: "deep/"')


def test_what_does_not_fit(folder: Path) -> None:
    for slices, words in (
        ("dim: 4 dim: 4 stride: 6 stride: 6 offset: 4 offset: 4", "4 labels every 6 pixels from 4 do not lie in"),
        ("dim: 4 stride: 3 offset: 4", "height and width of each are expected"),
        ("dim: 0 dim: 4 stride: 3 stride: 3 offset: 4 offset: 4", "0 labels every 3 pixels from 4"),
    ):
        with pytest.raises(InputError, match=words):
            feed(folder, slices=slices)
    with pytest.raises(InputError, match=r"crop_size \} is missing"):
        feed(folder, crop=0)
    (folder / "labels.txt").write_text("0_label.png\n")
    with pytest.raises(DataError, match=r"names 3 pictures, .* 1 label maps"):
        feed(folder)
    (folder / "images.txt").write_text("0.png\n")
    cv2.imwrite(str(folder / "0_label.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(DataError, match=r"label map is 5x5, its picture"):
        feed(folder).next()
    (folder / "images.txt").write_text("")
    (folder / "labels.txt").write_text("")
    with pytest.raises(DataError, match="no samples"):
        feed(folder)
