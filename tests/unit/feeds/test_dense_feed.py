"""DenseImageData: picture and label map go through the same resizing, mirror and crop; bad lists are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from repro.caffe import load_net
from repro.data.feeds import Feed, file_shapes, open_feeds
from repro.errors import DataError, FormatError, InputError

LAYER = """layer {{ name: "data" type: "DenseImageData" top: "data" top: "label" {rest}
  dense_image_data_param {{ source: "list.txt" batch_size: {batch} {more} }} }}
layer {{ name: "up" type: "Upsample" bottom: "data" bottom: "label" top: "up" }}"""


def feed(root: Path, more: str = "", rest: str = "", batch: int = 2, dialect: str | None = None, seed: int = 3) -> Feed:
    net = load_net(LAYER.format(rest=rest, batch=batch, more=more), phase="TRAIN", dialect=dialect)
    (one,) = open_feeds(net, seed, root=root, workers=0)
    return one


@pytest.fixture
def folder(write_pictures: Callable[[int], Path]) -> Path:
    """Four pictures whose label is a function of their pixels: blue // 16."""
    root = write_pictures(4)
    (root / "list.txt").write_text("".join(f"{i}.png {i}_label.png\n" for i in range(4)))
    return root


def agrees(batch: dict[str, torch.Tensor]) -> bool:
    return torch.equal(batch["data"][:, :1] // 16, batch["label"])


def test_pictures_in_order_with_their_label_maps(folder: Path) -> None:
    one = feed(folder)
    first = one.next()
    assert first["data"].shape == (2, 3, 12, 18)
    assert first["label"].shape == (2, 1, 12, 18)
    assert first["data"].dtype == first["label"].dtype == torch.float32
    assert agrees(first)
    whole = cv2.imread(str(folder / "1.png"))
    assert torch.equal(first["data"][1], torch.from_numpy(whole.transpose(2, 0, 1)).float())


def test_crop_and_mirror_are_the_same_for_both(folder: Path) -> None:
    more = "mirror: true crop_height: 7 crop_width: 5 shuffle: true"
    batches = [feed(folder, more, batch=4, dialect="segnet_cudnn5").next() for _ in range(2)]
    assert batches[0]["data"].shape == (4, 3, 7, 5)
    assert agrees(batches[0])
    assert torch.equal(batches[0]["data"], batches[1]["data"])
    other = feed(folder, more, batch=4, dialect="segnet_cudnn5", seed=4).next()
    assert not torch.equal(batches[0]["data"], other["data"])


def test_resizing_pictures_linearly_and_labels_to_the_nearest(folder: Path) -> None:
    batch = feed(folder, "new_height: 6 new_width: 9").next()
    label = cv2.imread(str(folder / "0_label.png"), cv2.IMREAD_GRAYSCALE)
    assert torch.equal(batch["label"][0, 0], torch.from_numpy(label[::2, ::2]).float())
    picture = cv2.resize(cv2.imread(str(folder / "0.png")), (9, 6), interpolation=cv2.INTER_LINEAR)
    assert torch.equal(batch["data"][0], torch.from_numpy(picture.transpose(2, 0, 1)).float())


def test_mean_and_scale_leave_the_labels_alone(folder: Path) -> None:
    plain, normal = feed(folder).next(), feed(folder, rest="transform_param { mean_value: 10 scale: 0.5 }").next()
    assert torch.equal(normal["label"], plain["label"])
    assert torch.equal(normal["data"], (plain["data"] - 10) * 0.5)


def test_enet_divides_the_label_map(folder: Path) -> None:
    divided = feed(folder, "label_divide_factor: 3", dialect="segnet_cudnn5").next()
    whole = feed(folder).next()
    assert divided["data"].shape == (2, 3, 12, 18)
    assert torch.equal(divided["label"], whole["label"][:, :, ::3, ::3])


def test_the_files_tell_the_shapes(folder: Path) -> None:
    net = load_net(LAYER.format(rest="", batch=3, more=""), phase="TRAIN")
    assert file_shapes(net, folder) == {"data": (3, 3, 12, 18), "label": (3, 1, 12, 18)}


@pytest.mark.parametrize(
    ("more", "rest", "said"),
    [
        ("new_height: 6", "", "both new_height and new_width"),
        ("crop_height: 6", "", "both crop_height and crop_width"),
        ("crop_height: 60 crop_width: 6", "", "6x60 out of a picture of 18x12"),
        ("", "transform_param { mirror: true }", "dense_image_data_param has mirror"),
        ("", "transform_param { crop_size: 4 }", "may not mirror or crop"),
        ("label_divide_factor: 13", "", "divided by 13"),
        ("label_divide_factor: 2 crop_height: 6 crop_width: 6", "", "do not go together"),
    ],
)
def test_options_that_cannot_be(folder: Path, more: str, rest: str, said: str) -> None:
    with pytest.raises((InputError, DataError), match=said):
        feed(folder, more, rest, dialect="segnet_cudnn5").next()


def test_a_label_map_of_another_size(folder: Path) -> None:
    cv2.imwrite(str(folder / "2_label.png"), np.zeros((12, 17), np.uint8))
    one = feed(folder)
    one.next()
    with pytest.raises(DataError, match=r"2_label.png.*17x12.*18x12"):
        one.next()


def test_a_line_without_a_label_map(folder: Path) -> None:
    (folder / "list.txt").write_text("0.png 0_label.png\n1.png\n")
    with pytest.raises(FormatError, match=r"list.txt:2: 1 fields, expected 2"):
        feed(folder)
