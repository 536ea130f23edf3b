"""Real models with results that real Caffe computed for them: an autoencoder with pooling masks, OpenCV's layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from caffe_cases import assert_close

from repro import Net


def _models(shared: Path) -> Path:
    path = shared / "data" / "wild" / "model"
    if not path.is_dir():
        pytest.skip(f"the real models are not here ({path})")
    return path


def test_every_blob_of_the_autoencoder(shared: Path) -> None:
    base = str(_models(shared) / "conv_deconv_autoencoder" / "16-06-14_15h51m21s_0_20_reconstructIncremental1")
    net = Net(f"{base}_deploy.prototxt", f"{base}_iter_2000.caffemodel")
    x = (np.random.Generator(np.random.PCG64(77)).standard_normal((4, 3, 32, 32)) * 50).astype(np.float32)
    blobs = net(capture=True, **{next(iter(net.inputs)): x})
    stored = np.load(f"{base}_caffe_outputs.npz")
    tops = {f"{step.key}__{at}": f"{step.key}__{top}" for step in net.graph.steps
            for at, top in enumerate(step.layer.spec.tops)}  # fmt: skip
    known = [key for key in stored.files if key in tops]
    assert len(known) > 15
    for key in known:
        assert_close(blobs[tops[key]], stored[key], key, 1e-4)


@pytest.mark.parametrize(
    "name",
    ["convolution", "deconvolution", "inner_product", "lrn_channels", "lrn_spatial", "mvn", "pooling_ave",
     "pooling_max", "softmax"],
)  # fmt: skip
def test_opencv_layer(shared: Path, name: str) -> None:
    folder = _models(shared) / "opencv_layers"
    weights = folder / f"layer_{name}.caffemodel"
    net = Net(folder / f"layer_{name}.prototxt", weights if weights.is_file() else None)
    own = folder / f"layer_{name}.input.npy"
    x = np.load(own if own.is_file() else folder / "blob.npy")
    found = next(iter(net(**{next(iter(net.inputs)): x}).values()))
    assert_close(found, np.load(folder / f"layer_{name}.npy"), name)
