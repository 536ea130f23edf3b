"""Weights and solver states in HDF5: Caffe's layout, views of the file, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from repro.caffe import read_caffemodel, read_solverstate, write_caffemodel, write_solverstate
from repro.errors import FormatError, InputError, ReproError, UnsupportedError, WeightsError

h5py = pytest.importorskip("h5py")


def layers() -> list[tuple[str, str, list[np.ndarray]]]:
    rng = np.random.default_rng(5)
    one = [rng.standard_normal((2, 3, 1, 2)).astype(np.float32), rng.standard_normal(2).astype(np.float32)]
    return [
        ("conv1/a", "Convolution", one),
        ("ip", "InnerProduct", [rng.standard_normal((4, 2))]),
        ("relu", "ReLU", []),
    ]


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "m.caffemodel.h5"
    write_caffemodel(path, layers())
    model = read_caffemodel(path)
    assert (model.version, [n.name for n in model.layers]) == ("HDF5", ["conv1/a", "ip", "relu"])
    for name, _, arrays in layers():
        blobs = model.layer(name).blobs
        assert len(blobs) == len(arrays)
        for blob, array in zip(blobs, arrays, strict=True):
            assert (blob.shape, blob.array.dtype) == (array.shape, array.dtype)
            assert np.array_equal(blob.array, array)
            assert not blob.array.flags.writeable
    first = path.read_bytes()
    write_caffemodel(path, layers(), version="HDF5")
    assert path.read_bytes() == first, "the same bytes every time"


def test_solver_state(tmp_path: Path) -> None:
    path = tmp_path / "s.solverstate.h5"
    history = [a for _, _, arrays in layers() for a in arrays]
    write_solverstate(path, iteration=70, learned_net="x.caffemodel.h5", history=history, current_step=3)
    state = read_solverstate(path)
    assert (state.iter, state.learned_net, state.current_step) == (70, "x.caffemodel.h5", 3)
    assert all(np.array_equal(b.array, a) for b, a in zip(state.history, history, strict=True))


def test_files_of_real_caffe(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "wild" / "model" / "cifar10_full_h5"
    model = read_caffemodel(folder / "cifar10_quick_iter_5000.caffemodel.h5")
    assert [tuple(b.shape for b in model.layer(n).blobs) for n in ("conv1", "ip2", "relu1")] == [
        ((32, 3, 5, 5), (32,)), ((10, 64), (10,)), (),
    ]  # fmt: skip
    assert sum(b.array.size for n in model.layers for b in n.blobs) == 145_578
    with h5py.File(model.path) as file:
        assert np.array_equal(file["data/conv3/0"][()], model.layer("conv3").blobs[0].array)
    state = read_solverstate(folder / "cifar10_quick_iter_5000.solverstate.h5")
    assert (state.iter, len(state.history)) == (5000, 10)
    assert state.learned_net == "examples/cifar10/cifar10_quick_iter_5000.caffemodel.h5"
    write_caffemodel(tmp_path / "m.h5", [(n.name, "", [b.array for b in n.blobs]) for n in model.layers])
    again = read_caffemodel(tmp_path / "m.h5")
    assert [n.name for n in again.layers] == [n.name for n in model.layers]


def damaged(tmp_path: Path, change) -> Path:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        change(file)
    return path


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda f: f.create_group("else"), FormatError, "no group 'data'"),
        (lambda f: f.create_dataset("data", data=np.zeros(3)), FormatError, "'data' is a Dataset; expected a Group"),
        (lambda f: f.create_dataset("data/a/100", data=np.zeros(3)), WeightsError, "expected 0, 1, … without gaps"),
        (lambda f: f.create_dataset("data/a/01", data=np.zeros(3)), WeightsError, "expected 0, 1, … without gaps"),
        (lambda f: f.create_dataset("data/a/0", data=np.zeros(3, int)), WeightsError, "expected an array of floats"),
        (
            lambda f: f.create_dataset("data/a/0", (1 << 20, 1 << 10), "f4", chunks=(1024, 1024), compression="gzip"),
            FormatError,
            "too much to be weights",
        ),
        (lambda f: f.__setitem__("data", h5py.ExternalLink("other.h5", "/")), FormatError, "is a link"),
        (lambda f: f.__setitem__("data", h5py.SoftLink("/")), FormatError, "is a link"),
        (
            lambda f: f.create_dataset("data/a/0", (4,), "f4", external=[("/etc/passwd", 0, 16)]),
            FormatError,
            "data are in another file",
        ),
    ],
)
def test_files_that_are_refused(tmp_path: Path, change, error: type[Exception], said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=said):
        read_caffemodel(damaged(tmp_path, change))


def test_groups_in_a_circle_end(tmp_path: Path) -> None:
    def circle(file) -> None:  # type: ignore[no-untyped-def]
        group = file.create_group("data/a")
        group["again"] = file["data"]

    def doubling(file) -> None:  # type: ignore[no-untyped-def]
        group = file.create_group("data")
        for _ in range(14):
            group["b"] = group.create_group("a")
            group = group["a"]

    def deep(file) -> None:  # type: ignore[no-untyped-def]
        file.create_group("data" + "/a" * 100)

    for change, said in ((circle, "reached twice"), (doubling, "reached twice"), (deep, "deep")):
        with pytest.raises(FormatError, match=said):
            read_caffemodel(damaged(tmp_path, change))


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    """Not even to look at what a link leads to."""
    other = tmp_path / "other.h5"
    other.write_text("opening this would say that it is no HDF5 file")
    for link in (h5py.ExternalLink(str(other), "/data/ip/0"), h5py.SoftLink("/data/b/0")):

        def change(file, link=link) -> None:  # type: ignore[no-untyped-def]
            file.create_dataset("data/b/0", data=np.ones(3, np.float32))
            file.create_group("data/a")["0"] = link

        with pytest.raises(FormatError, match="'0' is a link, which is not followed"):
            read_caffemodel(damaged(tmp_path, change))


def test_names_that_hdf5_cannot_hold(tmp_path: Path) -> None:
    for name in ("", ".", "a//b", "/a"):
        with pytest.raises(InputError, match="HDF5 has no place"):
            write_caffemodel(tmp_path / "m.h5", [(name, "ReLU", [])])
    assert not list(tmp_path.iterdir())


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.h5"
    write_caffemodel(path, layers())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'repro\[hdf5\]'"):
        read_caffemodel(path)


def test_damage_is_always_said(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_caffemodel(path, layers())
    good = path.read_bytes()
    rng = np.random.default_rng(3)
    cases = [good[:n] for n in range(0, len(good), max(1, len(good) // 60))]
    for _ in range(150):
        bad = bytearray(good)
        bad[int(rng.integers(len(bad)))] ^= 1 << int(rng.integers(8))
        cases.append(bytes(bad))
    refused = 0
    for case in cases:
        path.write_bytes(case)
        try:
            read_caffemodel(path)
        except ReproError:
            refused += 1
    assert refused > 60
