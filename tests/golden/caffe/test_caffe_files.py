"""Files that real Caffe wrote (the DeconvNet authors' fork, ``Solver::Snapshot``): every value, and every byte back.

``data/caffe/small_*``: a V1 net's weights and solver states with their arrays in an npz (``param__<layer>__<i>``,
``diff__…``, ``history__<k>``), the net, the solver, and Caffe's own text dump of the weights file without its blobs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.caffe import (
    load_net,
    load_solver,
    read_caffemodel,
    read_solverstate,
    write_caffemodel,
    write_solverstate,
)
from repro.caffe.printer import to_text
from repro.caffe.schema import schema
from repro.caffe.text import parse_text
from repro.caffe.wire import Reader, encode


@pytest.fixture(scope="module")
def files(golden_data: Path) -> Path:
    return golden_data / "caffe"


@pytest.mark.parametrize("stem", ["small_multistep_iter_5", "small_diff_iter_5"])
def test_every_value(files: Path, stem: str) -> None:
    model = read_caffemodel(files / f"{stem}.caffemodel")
    assert (model.name, model.version, len(model.layers)) == ("small", "V1", 14)
    with np.load(files / f"{stem}.npz") as arrays:
        seen = set()
        for layer in model.layers:
            for at, blob in enumerate(layer.blobs):
                key = f"{layer.name}__{at}"
                np.testing.assert_array_equal(blob.array, arrays[f"param__{key}"], strict=True)
                assert blob.legacy
                seen.add(f"param__{key}")
                if f"diff__{key}" in arrays:
                    assert blob.diff is not None
                    np.testing.assert_array_equal(blob.diff, arrays[f"diff__{key}"], strict=True)
                    seen.add(f"diff__{key}")
        assert seen == {key for key in arrays if not key.startswith("history__")}


def test_solverstate_values_and_bytes(files: Path, tmp_path: Path) -> None:
    original = files / "small_multistep_iter_5.solverstate"
    state = read_solverstate(original)
    assert (state.iter, state.learned_net, state.current_step) == (5, "small_multistep_iter_5.caffemodel", 1)
    with np.load(files / "small_multistep_iter_5.npz") as arrays:
        assert len(state.history) == sum(key.startswith("history__") for key in arrays)
        for at, blob in enumerate(state.history):
            np.testing.assert_array_equal(blob.array, arrays[f"history__{at}"], strict=True)
    write_solverstate(
        tmp_path / "s",
        iteration=state.iter,
        learned_net=state.learned_net,
        history=[blob.array for blob in state.history],
        current_step=state.current_step,
        version="V1",
    )
    assert (tmp_path / "s").read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small_multistep_iter_5.caffemodel", "NetParameter"),
        ("small_diff_iter_5.caffemodel", "NetParameter"),
        ("small_multistep_iter_5.solverstate", "SolverState"),
    ],
)
def test_decoded_and_encoded_again_is_the_same_file(files: Path, name: str, message: str) -> None:
    data = (files / name).read_bytes()
    reader = Reader(data, schema("deconvnet"), name)
    assert encode(reader.read(message)) == data
    assert not reader.unknown


def test_the_binary_is_what_caffes_text_dump_says(files: Path) -> None:
    name = "small_multistep_iter_5.caffemodel"
    net = Reader((files / name).read_bytes(), schema("deconvnet"), name).read("NetParameter")
    for layer in net.layers:
        layer.clear("blobs")
    dump = (files / f"{name}.txt").read_text()
    assert net == parse_text(dump, "NetParameter", schema("deconvnet"))
    assert to_text(net) == dump


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_written_again_in_either_version(files: Path, tmp_path: Path, version: str) -> None:
    model = read_caffemodel(files / "small_multistep_iter_5.caffemodel")
    layers = [(n.name, n.type, [b.array for b in n.blobs]) for n in model.layers]
    write_caffemodel(tmp_path / "m", layers, name=model.name, version=version)
    again = read_caffemodel(tmp_path / "m")
    assert again.version == version
    for a, b in zip(model.layers, again.layers, strict=True):
        assert (a.name, a.type) == (b.name, b.type)
        for x, y in zip(a.blobs, b.blobs, strict=True):
            np.testing.assert_array_equal(x.array, y.array, strict=True)


def test_the_net_and_its_solver(files: Path) -> None:
    solver = load_solver(files / "small_multistep.solver.prototxt")
    assert (solver.message.lr_policy, solver.message.stepvalue) == ("multistep", [2, 5, 8])
    net = solver.load_train_net()
    model = read_caffemodel(files / "small_multistep_iter_5.caffemodel")
    assert (net.dialect, net.phase) == ("deconvnet", "TRAIN")
    assert [(n.name, n.type) for n in net.layers] == [(n.name, n.type) for n in model.layers]


def test_all_reference_nets_load(shared: Path) -> None:
    folder = shared / "golden" / "caffe"
    nets = [p for p in sorted(folder.rglob("*.prototxt")) if not p.name.endswith(".solver.prototxt")]
    assert len(nets) > 100
    for path in nets:
        assert load_net(path, "TRAIN").layers
    for path in sorted(folder.rglob("*.solver.prototxt")):
        assert load_solver(path).load_train_net().layers
