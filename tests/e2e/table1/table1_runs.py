"""What the tests beside this file share."""

from __future__ import annotations

from pathlib import Path

IMAGES = 4
# fully convolutional, a stride of 2 on the way, and a crop: FCN-8s in the small
FCN = """
name: "fcn"
input: "data" input_dim: 1 input_dim: 3 input_dim: 96 input_dim: 96
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 pad: 3 stride: 2 weight_filler { type: "gaussian" std: 0.02 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up"
  convolution_param { num_output: 21 kernel_size: 4 stride: 2 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score" crop_param { axis: 2 offset: 3 } }
"""


def results(out: Path) -> dict[str, bytes]:
    """Everything a run gives that must not depend on how it was run: tables, pictures, label PNGs."""
    return _read(
        out, [p for p in out.rglob("*") if p.suffix in (".png", ".md", ".csv", ".tar") or p.name == "table.json"]
    )


def labels(out: Path) -> dict[str, bytes]:
    """The label PNGs of all rows."""
    return _read(out, list(out.glob("*/results/**/*.png")))


def _read(out: Path, paths: list[Path]) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}
