"""Real models in the exact tier against what real Caffe computed for them; run by test_exact_against_caffe.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_cases import DATA, models, names, outputs, run, wrong_bits
from ulp_distance import differing, furthest

from repro import Net

# OpenCV's stored results are of a Caffe with another BLAS and another C library: max |a - b| / max |b|, here and there
OPENCV = {
    "convolution": 4e-7, "deconvolution": 2e-7, "inner_product": 3e-7, "lrn_channels": 2e-7, "lrn_spatial": 1e-7,
    "mvn": 3e-6, "pooling_ave": 0, "pooling_max": 0, "softmax": 1e-7,
}  # fmt: skip


def test_every_blob_of_the_autoencoder(shared: Path) -> None:
    base = str(models(shared) / "conv_deconv_autoencoder" / "16-06-14_15h51m21s_0_20_reconstructIncremental1")
    net = Net(f"{base}_deploy.prototxt", f"{base}_iter_2000.caffemodel", numerics="exact")
    x = (np.random.Generator(np.random.PCG64(77)).standard_normal((4, 3, 32, 32)) * 50).astype(np.float32)
    blobs = net(capture=True, **{next(iter(net.inputs)): x})
    stored = np.load(f"{base}_caffe_outputs.npz")
    keys = {f"{step.key}__{at}": f"{step.key}__{top}" for step in net.graph.steps
            for at, top in enumerate(step.layer.spec.tops)}  # fmt: skip
    assert set(stored.files) <= set(keys)
    faults = {key: differing(blobs[keys[key]].detach().numpy(), stored[key]) for key in stored.files}
    assert len(faults) == 23
    assert not any(faults.values()), {key: fault for key, fault in faults.items() if fault}


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_layer(shared: Path, name: str) -> None:
    folder = models(shared) / "opencv_layers"
    weights = folder / f"layer_{name}.caffemodel"
    net = Net(folder / f"layer_{name}.prototxt", weights if weights.is_file() else None, numerics="exact")
    own = folder / f"layer_{name}.input.npy"
    x = np.load(own if own.is_file() else folder / "blob.npy")
    found = next(iter(net(**{next(iter(net.inputs)): x}).values())).detach().numpy()
    expected = np.load(folder / f"layer_{name}.npy").reshape(found.shape)
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    print(f"{name}: {error:.2g} of the largest value, {furthest(found, expected)} ULP at most")
    assert error <= OPENCV[name]


@pytest.mark.parametrize("name", names("bvlc"))
def test_every_top_is_bvlc_caffes(shared: Path, name: str) -> None:
    stored = np.load(DATA / f"bvlc__{name}.npz")
    # by its own dialect the yolo net would take the sigmoid of older forks
    net, blobs = run(shared, name, "exact", "bvlc" if name == "mobilenet_yolo" else None)
    assert not wrong_bits(net, blobs, stored)
    for key, (found, expected) in outputs(net, blobs, stored).items():
        assert not differing(found, expected), key
