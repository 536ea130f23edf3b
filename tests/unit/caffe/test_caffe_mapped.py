"""Values taken out of a mapped file: the same values, in memory of their own, the file's pages given back."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repro import Net
from repro.caffe import mapped, read_caffemodel, write_caffemodel
from repro.caffe.mapped import own_values
from repro.errors import FormatError

NET = """
name: 'n' input: 'data' input_shape { dim: [1, 8, 4, 4] }
layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { num_output: 8 kernel_size: 3 } }
"""
BLOBS = [np.arange(8 * 8 * 9, dtype=np.float32).reshape(8, 8, 3, 3), np.ones(8, np.float32)]


@pytest.fixture(params=[0, 1, 2, 3])
def view(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, mmap.mmap, int]:
    """A file of 64 kB mapped for reading, and where in it to begin."""
    path = tmp_path / "f"
    path.write_bytes(np.random.default_rng(0).standard_normal(16384, np.float32).tobytes())
    with path.open("rb") as file:
        return path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), 4096 + request.param


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2", ">f4"])
@pytest.mark.parametrize("step", [1 << 20, 1000])
def test_values_of_every_kind_at_any_byte(
    view: tuple[Path, mmap.mmap, int], dtype: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "_STEP", step)
    _, file, at = view
    contiguous = np.frombuffer(file, dtype, 3000, at).reshape(30, 100)
    every_third = np.ndarray((1500,), dtype, file, at, (3 * contiguous.itemsize,))
    with np.errstate(all="ignore"):
        for array in (contiguous, every_third, every_third[::-1], contiguous.T, contiguous[:0], contiguous[3, 7:8]):
            own = own_values(array)
            np.testing.assert_array_equal(own, array.astype(np.float32))
            assert (own.dtype, own.shape, own.flags.aligned) == (np.float32, array.shape, True)
            assert own.flags.writeable
            assert not np.shares_memory(own, array)


def test_a_file_that_has_become_shorter_is_said_so(view: tuple[Path, mmap.mmap, int]) -> None:
    path, file, at = view
    array = np.frombuffer(file, np.float32, 5000, at)
    with path.open("r+b") as cut:
        cut.truncate(8192)
    with pytest.raises(FormatError, match="has 8192 bytes, it had 65536 when it was opened"):
        own_values(array)


def test_changes_in_a_private_mapping_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(100_000, np.float32))
    array = np.load(tmp_path / "a.npy", mmap_mode="c")
    array[:] = 3
    assert own_values(array).sum() == array.sum() == 300_000


def test_nets_own_their_parameters(tmp_path: Path) -> None:
    """A step of training writes to one net: not to the file, not to the model read, not to its other net."""
    path = tmp_path / "m"
    write_caffemodel(path, [("conv", "Convolution", BLOBS)])
    before, model = path.read_bytes(), read_caffemodel(path)
    first, second = Net(NET, model), Net(NET, model)
    for parameter in first.parameters():
        parameter.data.mul_(-1)
        assert parameter.data_ptr() % parameter.element_size() == 0
    path.unlink()
    np.testing.assert_array_equal(second.params["conv"][0].detach().numpy(), BLOBS[0])
    np.testing.assert_array_equal(first.params["conv"][0].detach().numpy(), -BLOBS[0])
    np.testing.assert_array_equal(model.layers[0].blobs[0].array, BLOBS[0])
    path.write_bytes(before)
    np.testing.assert_array_equal(read_caffemodel(path).layers[0].blobs[0].array, BLOBS[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from Linux's /proc")
def test_the_file_is_held_in_memory_once(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write_caffemodel(path, [("fc", "InnerProduct", [np.ones((1 << 10, 1 << 15), np.float32), np.ones(3)])])
    program = (
        "import sys, numpy\n"
        "from repro.caffe import read_caffemodel\n"
        "from repro.caffe.mapped import own_values\n"
        "def peak(field): return int(open('/proc/self/status').read().split(field + ':')[1].split()[0]) / 1024\n"
        "before = peak('VmRSS')\n"
        "own = [own_values(b.array) for n in read_caffemodel(sys.argv[1]).layers for b in n.blobs]\n"
        "assert own[0].sum() == 1 << 25\n"
        "print(peak('VmHWM') - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    # 128 MiB of values; the steps in flight, one a thread, are all that may come on top
    assert float(done.stdout) < 128 + 4 * 16 + 8
