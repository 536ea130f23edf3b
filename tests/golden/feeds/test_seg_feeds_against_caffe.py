"""ImageSegData and WindowSegData against the batches of the authors' Caffe (TEST phase, mirror off)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from repro.caffe import load_net
from repro.data.feeds import data_layers, open_feed

CASES = (
    "window_resize40_crop36",
    "window_resize25x31_nocrop",
    "imageseg_resize40x44_crop32",
    "imageseg_noresize_crop80_pad",
)


@pytest.fixture(scope="module")
def golden(golden_data: Path) -> dict[str, np.ndarray]:
    with np.load(golden_data / "feeds" / "seg_data_layers.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, golden: dict[str, np.ndarray]) -> Path:
    root = tmp_path_factory.mktemp("seg")
    for i in range(2):
        cv2.imwrite(str(root / f"{i}.png"), golden["images_rgb"][i][:, :, ::-1])
        cv2.imwrite(str(root / f"{i}_label.png"), golden["labels"][i])
    (root / "seg.txt").write_text("".join(f"{i}.png {i}_label.png\n" for i in range(2)))
    (root / "win.txt").write_text(
        "".join(f"{i}.png {i}_label.png {x1} {y1} {x2} {y2}\n" for i, x1, y1, x2, y2 in golden["windows"])
    )
    return root


@pytest.mark.parametrize("case", CASES)
def test_batch_equals_caffe(case: str, golden: dict[str, np.ndarray], folder: Path, golden_data: Path) -> None:
    text = (golden_data / "feeds" / f"{case}.prototxt").read_text()
    text = text.replace("ROOT", "").replace("SRC/", "").replace('top: "seg-label"', 'top: "seg-label" top: "dim"')
    (layer,) = data_layers(load_net(text + "\n", phase="TEST"))
    batch = open_feed(layer, "TEST", seed=3, root=folder, workers=0).next()
    # cv2's resize may round another way in other versions; the one this was made with is 4.6, 5.0 gives the same bits
    assert np.abs(batch["data"].numpy() - golden[f"{case}__data"]).max() <= (0 if "noresize" in case else 1)
    np.testing.assert_array_equal(batch["seg-label"].numpy(), golden[f"{case}__label"])
    np.testing.assert_array_equal(batch["dim"].numpy(), golden[f"{case}__data_dim"])
    if cv2.__version__.startswith("5.0"):
        np.testing.assert_array_equal(batch["data"].numpy(), golden[f"{case}__data"])
