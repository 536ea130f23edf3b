"""Weights from format to format: every array to the bit, every name, type, order and old form as it was."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import Net
from repro.caffe import Model, read_caffemodel, write_caffemodel
from repro.cli.main import main as cli
from repro.convert import convert, read_weights
from repro.errors import FormatError, InputError, ReproError, WeightsError

NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv1/3x3.a" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } } }
"""
FLAT = (".safetensors", ".pt", ".npz")


def values(*shape: int, dtype: type = np.float32) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(sum(shape)))
    return generator.standard_normal(shape).astype(dtype)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Names no file system would like, a layer without blobs, two of one name, three dtypes, NaN and -0."""
    special = np.array([np.nan, -0.0, np.inf, 1e-42], np.float32)
    layers = [
        ("conv1/3x3.a", "Convolution", [values(4, 3, 3, 3), values(4)]),
        ("", "InnerProduct", [values(2, 5)]),
        ("faltung_é", "Scale", [special]),
        ("relu", "ReLU", []),
        ("twice", "PReLU", [values(1)]),
        ("twice", "PReLU", [values(3)]),
        ("half", "Bias", [values(7, dtype=np.float16)]),
        ("double", "Bias", [values(2, 2, dtype=np.float64)]),
    ]
    path = tmp_path / "odd.caffemodel"
    write_caffemodel(path, layers, name="odd net")
    return path


def same(a: Model, b: Model) -> None:
    assert (a.name, a.version) == (b.name, b.version)
    assert [(layer.name, layer.type) for layer in a.layers] == [(layer.name, layer.type) for layer in b.layers]
    for one, two in zip(a.layers, b.layers, strict=True):
        assert len(one.blobs) == len(two.blobs)
        for x, y in zip(one.blobs, two.blobs, strict=True):
            assert (x.shape, x.legacy, x.array.dtype) == (y.shape, y.legacy, y.array.dtype)
            assert np.ascontiguousarray(x.array).tobytes() == np.ascontiguousarray(y.array).tobytes()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FLAT, FLAT)))
def test_there_and_back(odd: Path, tmp_path: Path, first: str, second: str) -> None:
    convert(odd, tmp_path / f"a{first}")
    convert(tmp_path / f"a{first}", tmp_path / f"b{second}")
    convert(tmp_path / f"b{second}", tmp_path / "back.caffemodel")
    same(read_caffemodel(odd), read_caffemodel(tmp_path / "back.caffemodel"))
    assert (tmp_path / "back.caffemodel").read_bytes() == odd.read_bytes()


@pytest.mark.parametrize("suffix", FLAT)
def test_an_old_file_comes_back_with_its_four_axes(golden_data: Path, tmp_path: Path, suffix: str) -> None:
    old = golden_data / "solver" / "files" / "small_multistep_iter_5.caffemodel"
    convert(old, tmp_path / f"a{suffix}")
    convert(tmp_path / f"a{suffix}", tmp_path / "back.caffemodel")
    same(read_caffemodel(old), read_caffemodel(tmp_path / "back.caffemodel"))
    assert read_caffemodel(tmp_path / "back.caffemodel").version == "V1"


def test_hdf5_there_and_back(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="HDF5 files need h5py")
    write_caffemodel(tmp_path / "a.caffemodel", [("b", "X", [values(3, 2)]), ("c", "Y", [values(4)])])
    convert(tmp_path / "a.caffemodel", tmp_path / "a.caffemodel.h5")
    convert(tmp_path / "a.caffemodel.h5", tmp_path / "b.npz")
    back = read_weights(tmp_path / "b.npz")
    assert [layer.name for layer in back.layers] == ["b", "c"]
    assert back.layers[0].blobs[0].array.tobytes() == values(3, 2).tobytes()


@pytest.mark.parametrize("suffix", FLAT)
def test_with_the_net_a_flat_file_is_its_state_dict(tmp_path: Path, suffix: str) -> None:
    net = Net(NET, seed=3)
    net.save(tmp_path / "w.caffemodel")
    convert(tmp_path / "w.caffemodel", tmp_path / f"w{suffix}", net=Net(NET))
    if suffix == ".pt":
        again = Net(NET)
        again.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    convert(tmp_path / f"w{suffix}", tmp_path / "back.caffemodel", net=Net(NET))
    other = Net(NET, tmp_path / "back.caffemodel")
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    with pytest.raises(WeightsError, match="--prototxt"):
        convert(tmp_path / f"w{suffix}", tmp_path / "no.caffemodel")


def test_a_foreign_file_of_plain_keys_is_read_by_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **{"conv.1": values(4), "conv.0": values(4, 3), "a.b.0": values(2)})
    model = read_weights(tmp_path / "f.npz")
    assert [(layer.name, [b.shape for b in layer.blobs]) for layer in model.layers] == [
        ("conv", [(4, 3), (4,)]),
        ("a.b", [(2,)]),
    ]


def test_float32_widens_and_narrows(odd: Path, tmp_path: Path) -> None:
    write_caffemodel(tmp_path / "half.caffemodel", [("ip", "InnerProduct", [values(7, dtype=np.float16)])])
    with pytest.raises(InputError, match="float16"):
        convert(tmp_path / "half.caffemodel", tmp_path / "a.caffemodel", version="V1")
    convert(odd, tmp_path / "b.caffemodel", dtype=np.float32)
    assert {b.array.dtype.name for layer in read_caffemodel(tmp_path / "b.caffemodel").layers for b in layer.blobs} == {
        "float32"
    }


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (open, ("owned", "w"))


@pytest.mark.parametrize("suffix", FLAT)
def test_bad_files_are_refused_and_leave_nothing(
    odd: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad, out = tmp_path / f"good{suffix}", tmp_path / f"bad{suffix}", tmp_path / "out.caffemodel"
    convert(odd, good)
    data = good.read_bytes()
    damaged = [b"", b"PK\x03\x04", data[: len(data) // 2], data[:20], b"\xff" * 64, pickle.dumps({"a.0": Evil()})]
    for content in damaged:
        bad.write_bytes(content)
        with pytest.raises(FormatError, match="bad"):
            convert(bad, out)
    assert not (tmp_path / "owned").exists()
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_notes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for note in ("{}", "[]", "not json", '{"name": 1, "version": "V2", "layers": []}',
                 '{"name": "", "version": "V2", "layers": [{"name": "a", "type": "", "keys": ["x"], "legacy": [0]}]}',
                 "[" * 5000):  # fmt: skip
        np.savez(tmp_path / "n.npz", **{"a.0": values(2), "__layers__": np.frombuffer(note.encode(), np.uint8)})
        with pytest.raises(ReproError, match=r"n\.npz"):
            read_weights(tmp_path / "n.npz")


def test_other_things_are_refused_by_name(odd: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of"):
        convert(odd, tmp_path / "a.onnx")
    with pytest.raises(InputError, match="does not exist"):
        convert(odd, tmp_path / "none" / "a.npz")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FormatError, match="dict of names and tensors"):
        read_weights(tmp_path / "list.pt")
    torch.save({"a.0": torch.zeros(2, dtype=torch.bfloat16)}, tmp_path / "bf.pt")
    with pytest.raises(FormatError, match=r"bf\.pt"):
        read_weights(tmp_path / "bf.pt")
    torch.save({"a.0": torch.zeros(2, dtype=torch.int64)}, tmp_path / "int.pt")
    with pytest.raises(FormatError, match="int64"):
        read_weights(tmp_path / "int.pt")


def test_the_verb(odd: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "repro", "convert", str(odd), str(tmp_path / "o.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 layers, 8 arrays" in done.stdout
    done = subprocess.run([*command[:-1], str(tmp_path / "o.zip")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_float16_halves_a_file_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    """The values are the nearest float16; a legacy V1 source becomes V2, the only form that has them."""
    write_caffemodel(tmp_path / "a.caffemodel", [("ip", "InnerProduct", [values(50, 40)])], version="V1")
    assert cli(["convert", str(tmp_path / "a.caffemodel"), str(tmp_path / "h.caffemodel"), "--float16"]) == 0
    (layer,) = read_caffemodel(tmp_path / "h.caffemodel").layers
    assert layer.blobs[0].array.dtype == np.float16
    assert np.array_equal(layer.blobs[0].array.ravel(), values(50, 40).astype(np.float16).ravel())
    assert (tmp_path / "h.caffemodel").stat().st_size < 0.55 * (tmp_path / "a.caffemodel").stat().st_size
    # Caffe matches an old 1 x 1 x 1 x 40 with a bias of 40, never a new one
    assert layer.blobs[0].legacy
    write_caffemodel(tmp_path / "big.caffemodel", [("ip", "InnerProduct", [np.float32([[1e5]])])])
    with pytest.raises(InputError, match=r"layer 'ip' has values up to 100000, beyond the largest float16, 65504"):
        convert(tmp_path / "big.caffemodel", tmp_path / "no.caffemodel", dtype=np.float16)
    assert not (tmp_path / "no.caffemodel").exists()
