"""The CUDA part's lattice build, filter and mean-field update, compiled for the processor by Thrust's C++ backend.

What is left to a GPU is the launching: the functors and the order of their sums are run here, and must give the arrays
and the bits of the CPU ops. Needs the CUDA toolkit's headers (no GPU) and a C++ compiler.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import _build
from repro.ops.crf import Inference, NormalizedKernel
from repro.ops.lattice import PermutohedralLattice

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NULL = ctypes.c_void_p()
pytestmark = pytest.mark.slow  # compiles for ten seconds


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    nvcc = _build.find_nvcc(os.environ)
    headers = Path(nvcc).resolve().parent.parent / "include" if nvcc else None
    if headers is None or not (headers / "cccl" / "thrust").is_dir():
        # /usr/local/bin/nvcc may be a link or a script outside its toolkit.
        headers = Path("/usr/local/cuda/include")
    if not (headers / "cccl" / "thrust").is_dir():
        pytest.skip("no CUDA toolkit with Thrust's headers here")
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no C++ compiler {compiler[0]} here")
    library = tmp_path_factory.mktemp("thrust") / "host.so"
    flags = [f for f in _build.CXX_FLAGS if f not in ("-O3", "-fvisibility=hidden")]
    include = [f"-I{ROOT / 'csrc'}", "-isystem", str(_build.find_torch().folder / "include")]
    include += ["-isystem", str(headers / "cccl"), "-isystem", str(headers)]
    backend = "-DTHRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP"
    command = [
        *compiler,
        *flags,
        "-O1",
        "-shared",
        backend,
        *include,
        str(HERE / "thrust_host.cpp"),
        "-o",
        str(library),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    loaded = ctypes.CDLL(str(library))
    loaded.host_build.restype = ctypes.c_int64
    return loaded


def at(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    return NULL if tensor is None else ctypes.c_void_p(tensor.data_ptr())


def build(host: ctypes.CDLL, features: torch.Tensor, padding: bool, room: int) -> tuple[int, tuple[torch.Tensor, ...]]:
    images, points, d = features.shape
    entries = images * points * (d + 1)
    shape = (images * points, d + 1)
    offsets, weights = torch.zeros(shape, dtype=torch.int32), torch.zeros(shape)
    row_point, row_weight = torch.zeros(entries, dtype=torch.int32), torch.zeros(entries)
    row_start = torch.zeros(room + 1, dtype=torch.int32)
    neighbours = torch.zeros(d + 1, room, 2, dtype=torch.int32)
    long = ctypes.c_int64
    found = host.host_build(
        at(features), long(images), long(points), d, int(padding), at(weights), at(offsets), at(row_point),
        at(row_weight), long(room), at(row_start), at(neighbours),
    )  # fmt: skip
    return found, (offsets, weights, row_start, row_point, row_weight, neighbours)


@pytest.mark.parametrize("d", range(1, 9))
@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize(("images", "points", "spread"), [(1, 1, 1.0), (1, 403, 2.0), (3, 101, 1.0), (2, 64, 6e3)])
def test_the_build_gives_the_arrays_of_the_cpu_op(
    host: ctypes.CDLL, d: int, padding: bool, images: int, points: int, spread: float
) -> None:
    """The widest spread needs keys of 128 bits in many dimensions."""
    generator = torch.Generator().manual_seed(d)
    features = torch.randn(images, points, d, generator=generator) * spread
    wanted = PermutohedralLattice(features, reference_padding=padding)
    vertices, found = build(host, features, padding, wanted.vertices)
    assert vertices == wanted.vertices
    for a, b in zip(found, wanted.arrays.tensors(), strict=True):
        assert torch.equal(a, b)


def test_the_first_refused_point_is_named(host: ctypes.CDLL) -> None:
    features = torch.zeros(1, 9, 2)
    features[0, 4, 1] = float("nan")
    features[0, 7, 0] = 1e9
    assert build(host, features, True, 0)[0] == -1 - 4


@pytest.mark.parametrize(("d", "channels"), [(2, 24), (5, 8), (3, 1)])
def test_the_filter_gives_the_bits_of_the_cpu_op(host: ctypes.CDLL, d: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(d)
    features, values = torch.randn(500, d, generator=generator), torch.randn(500, channels, generator=generator)
    before, after = torch.rand(500, generator=generator), torch.rand(500, generator=generator)
    lattice = PermutohedralLattice(features)
    out, long = torch.zeros_like(values), ctypes.c_int64
    for scales in ((None, None), (before, after)):
        host.host_filter(
            at(values), at(scales[0]), at(scales[1]), *map(at, lattice.arrays.tensors()), long(500), long(channels),
            long(lattice.vertices), d + 1, at(out),
        )  # fmt: skip
        assert torch.equal(out, lattice.filter(values, scale_in=scales[0], scale_out=scales[1]))


@pytest.mark.parametrize("relaxation", [1.0, 0.5])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_an_update_gives_the_bits_of_the_cpu_op(host: ctypes.CDLL, relaxation: float, kind: int) -> None:
    """Potts, one number per label, a matrix."""
    generator = torch.Generator().manual_seed(0)
    energies = torch.randn(21, 1, 600, generator=generator) * 3
    kernel = NormalizedKernel.build(torch.randn(600, 3, generator=generator), "symmetric", torch.float32)
    drawn = torch.randn(21, 21, generator=generator)
    weight = (torch.tensor(4.0), drawn[0], drawn + drawn.T)[kind]
    inference = Inference(energies, [kernel], [weight], relaxation)
    q, long = inference.start().clone(), ctypes.c_int64
    lattice = kernel.lattice
    identity = torch.zeros(lattice.vertices + 1, 24)
    # The blurred lattice by the same functors: a filter whose points are the vertices themselves.
    arrays = lattice.arrays
    for row, (start, end) in enumerate(zip(arrays.row_start[:-1].tolist(), arrays.row_start[1:].tolist(), strict=True)):
        chosen = arrays.row_point[start:end].long()
        scaled = (arrays.row_weight[start:end] * kernel.scale_in[chosen])[:, None].double()
        identity[row + 1] = (scaled * q[chosen].double()).sum(0).float()
    for axis in arrays.neighbours.long():
        identity[1:] = identity[1:] + 0.5 * (identity[axis[:, 0] + 1] + identity[axis[:, 1] + 1])
        identity[0] = 0
    host.host_update(
        at(energies), at(identity), at(arrays.offsets), at(arrays.weights), at(kernel.scale_out), 4,
        at(inference.compatibilities[0]), kind, long(600), 21, 24, ctypes.c_float(1 - relaxation),
        ctypes.c_float(relaxation), at(q),
    )  # fmt: skip
    np.testing.assert_array_equal(q.numpy(), inference.step(inference.start()).numpy())
