"""Good files for fuzzing to begin from: every format, small enough for every byte to count."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse

from repro.caffe import load_net, write_binaryproto, write_caffemodel, write_solverstate
from repro.data.proposals import MAT_KEY
from repro.errors import ReproError

ROOT = Path(__file__).resolve().parents[2]

NET = """
name: 'tiny' input: 'data' input_shape { dim: [1, 2, 6, 6] }
layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv'
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 2 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' batch_norm_param { use_global_stats: true } }
layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' scale_param { bias_term: true } }
layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }
layer { name: 'ip' type: 'InnerProduct' bottom: 'conv' top: 'ip' inner_product_param { num_output: 3 } }
"""
_FAMILIES = """
name: 'families' input: 'data' input_dim: [1, 4, 9, 9]
layer { name: 'd' type: 'Deconvolution' bottom: 'data' top: 'd' convolution_param { num_output: 4 kernel_size: 4
  stride: 2 group: 4 bias_term: false weight_filler { type: 'bilinear' } } }
layer { name: 'c' type: 'Crop' bottom: 'd' bottom: 'data' top: 'c' crop_param { axis: 2 offset: 1 offset: 2 } }
layer { name: 'sum' type: 'Eltwise' bottom: 'c' bottom: 'data' top: 'sum'
  eltwise_param { operation: SUM coeff: 1 coeff: -1 } }
layer { name: 's' type: 'Slice' bottom: 'sum' top: 'a' top: 'b' slice_param { axis: 1 slice_point: 1 } }
layer { name: 'cat' type: 'Concat' bottom: 'a' bottom: 'b' top: 'cat' concat_param { axis: -3 } }
layer { name: 'p' type: 'Pooling' bottom: 'cat' top: 'p'
  pooling_param { pool: AVE kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 } }
layer { name: 'r' type: 'Reshape' bottom: 'p' top: 'r'
  reshape_param { shape { dim: [0, -1, 1] } axis: 0 num_axes: -1 } }
layer { name: 'f' type: 'Flatten' bottom: 'r' top: 'f' }
layer { name: 'tile' type: 'Tile' bottom: 'f' top: 'tile' tile_param { axis: 1 tiles: 3 } }
layer { name: 'red' type: 'Reduction' bottom: 'tile' top: 'red' reduction_param { operation: ASUM axis: 1 } }
layer { name: 'lrn' type: 'LRN' bottom: 'cat' top: 'lrn' lrn_param { local_size: 5 alpha: 1e-4 beta: .75 } }
layer { name: 'interp' type: 'Interp' bottom: 'lrn' top: 'interp' interp_param { zoom_factor: 2 pad_beg: -1 } }
layer { name: 'drop' type: 'Dropout' bottom: 'lrn' top: 'lrn' include { phase: TRAIN not_stage: 'x' } }
layer { name: 'label' type: 'DummyData' top: 'label' dummy_data_param { shape { dim: [1, 1, 9, 9] } } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'lrn' bottom: 'label' top: 'loss'
  loss_weight: 2 loss_param { ignore_label: 255 } }
"""
_OLD = """
name: "v0" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "pad" }
layers { layer { name: "conv" type: "conv" num_output: 2 kernelsize: 3 blobs_lr: 1. blobs_lr: 2.
  weight_filler { type: "gaussian" std: 0.01 } } bottom: "pad" top: "conv" }
layers { layer { name: "pool" type: "pool" kernelsize: 3 stride: 2 pool: MAX } bottom: "conv" top: "pool" }
"""


def seeds(target: str) -> list[bytes]:
    """The good files of a target."""
    if target == "lmdb":
        return [file.read_bytes() for file in sorted((ROOT / "tests/golden/data/feeds_bvlc").glob("*.mdb/data.mdb"))]
    if target in ("mat", "proposals"):
        return list(_mats()[target])
    if target == "text":
        return [text.encode() for text in (NET, _FAMILIES, _OLD, *(p.read_text() for p in _texts()))]
    return list(_binary_seeds()[target])


def _texts() -> list[Path]:
    folder = ROOT / "tests" / "golden" / "data"
    return sorted([*folder.rglob("*.prototxt"), *(ROOT / "prototxt" / "deconvnet").glob("solver*.prototxt")])


@cache
def _mats() -> dict[str, list[bytes]]:
    """MATLAB files as SBD and DeconvNet's proposals have them, compressed and not."""
    mask = np.arange(60, dtype=np.uint8).reshape(6, 10) % 3
    edges = np.empty((2, 1), object)
    for row in range(2):
        edges[row, 0] = scipy.sparse.csc_matrix(np.eye(6, 10) > 0)
    made: dict[str, list[bytes]] = {"mat": [], "proposals": []}
    for compressed in (False, True):
        for variable, name in (("GTcls", "CategoriesPresent"), ("GTinst", "Categories")):
            fields = {"Boundaries": edges, "Segmentation": mask, name: np.array([[1.0], [2.0]])}
            made["mat"].append(_mat({variable: fields}, compressed))
        boxes = np.array([[1, 1, 40, 30], [5, 8, 90, 70]], np.float64)
        made["proposals"].append(_mat({MAT_KEY: boxes, "scores": np.ones((2, 1))}, compressed))
    return made


def _mat(values: dict[str, Any], compressed: bool) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, values, do_compression=compressed)
    return buffer.getvalue()


@cache
def _binary_seeds() -> dict[str, list[bytes]]:
    rng = np.random.default_rng(0)
    layers = [
        ("conv", "Convolution", [rng.standard_normal((2, 2, 3, 3), np.float32), np.zeros(2, np.float32)]),
        ("bn", "BatchNorm", [np.ones(2, np.float32), np.ones(2, np.float32), np.ones(1, np.float32)]),
        ("scale", "Scale", [np.ones(2, np.float32), np.zeros(2, np.float32)]),
        ("relu", "ReLU", []),
        ("ip", "InnerProduct", [rng.standard_normal((3, 72)), np.zeros(3, np.float32)]),
    ]
    old = [(n, t, [a.astype(np.float32) for a in arrays]) for n, t, arrays in layers if t not in ("BatchNorm", "Scale")]
    arrays = [a for _, _, blobs in layers for a in blobs]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        write_caffemodel(path / "v2", layers, name="tiny", net=load_net(NET))
        write_caffemodel(path / "v1", old, version="V1")
        write_solverstate(path / "state", iteration=7, learned_net="m", history=arrays, current_step=1)
        write_binaryproto(path / "mean", np.ones((1, 3, 4, 4), np.float32))
        made = {"caffemodel": ["v2", "v1"], "solverstate": ["state"], "binaryproto": ["mean"]}
        try:
            write_caffemodel(path / "m.h5", layers)
            write_solverstate(path / "s.h5", iteration=7, learned_net="m", history=arrays)
            made |= {"hdf5": ["m.h5"], "hdf5_state": ["s.h5"]}
        except ReproError:  # no h5py
            pass
        return {target: [(path / file).read_bytes() for file in files] for target, files in made.items()}
