"""Offsets of Crop layers found from the graph: our nets' and the releases' typed ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro import paths
from repro.cli.main import main
from repro.crops import crop_offsets

# release's file, offsets typed in it; the deploy net of FCN-8s is the one that is typed wrong (by three pixels)
TYPED = {
    "voc-fcn32s__train.0d41620": [19],
    "voc-fcn16s__val": [5, 27],
    "voc-fcn8s__train.189a446": [5, 9, 31],
    "voc-fcn8s-atonce__val": [5, 9, 31],
    "voc-fcn-alexnet__train.a5c17be": [18],
}


@pytest.mark.parametrize("name", TYPED)
def test_offsets_of_the_releases_are_found(name: str, shared: Path) -> None:
    path = shared / "data" / "wild" / "prototxt" / f"shelhamer__fcn.berkeleyvision.org__{name}.prototxt"
    if not path.is_file():
        pytest.skip(f"the real network definitions are not here ({path})")
    found = crop_offsets(path, {"data": (1, 3, 64, 96), "label": (1, 1, 64, 96)}, phase="TRAIN")
    assert [crop.used for crop in found] == [(o, o) for o in TYPED[name]]
    assert all(crop.agrees for crop in found)


def test_a_wrong_offset_is_seen(shared: Path) -> None:
    path = shared / "data/wild/prototxt/shelhamer__fcn.berkeleyvision.org__voc-fcn8s__deploy.1aa7406.prototxt"
    if not path.is_file():
        pytest.skip(f"the real network definitions are not here ({path})")
    assert [(crop.used[0], crop.derived) for crop in crop_offsets(path)] == [(5, (5, 5)), (9, (9, 9)), (34, (31, 31))]


@pytest.mark.parametrize(
    ("name", "offsets"),
    [
        ("fcn32s_deploy", [19]),
        ("fcn16s_deploy", [5, 27]),
        ("fcn8s_voc_deploy", [5, 9, 31]),
        ("fcn8s_deploy", [5, 9, 31]),
        ("fcn_alexnet_deploy", [18]),
        ("fcn_googlenet_deploy", [1]),
    ],
)
def test_our_nets_find_theirs(name: str, offsets: list[int]) -> None:
    found = crop_offsets(paths.prototxt(f"fcn/{name}"))
    assert [crop.used for crop in found] == [(o, o) for o in offsets]
    assert all(crop.agrees for crop in found)


def test_half_pixels_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 16 dim: 16 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Deconvolution" bottom: "pool" top: "up"
  convolution_param { num_output: 1 kernel_size: 3 stride: 2 } }
layer { name: "crop" type: "Crop" bottom: "up" bottom: "data" top: "crop" crop_param { axis: 2 offset: 0 } }
""")
    (crop,) = crop_offsets(path)
    assert crop.derived is None
    assert "0.5" in crop.why
    assert main(["summary", str(path), "--crops"]) == 0
    assert "no whole pixels" in capsys.readouterr().out
