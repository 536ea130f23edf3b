"""Snapshots: the same bits after a resume, Caffe's own files, and snapshots that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro.caffe import load_solver, read_caffemodel, read_solverstate, write_solverstate
from repro.data.feeds import ArrayFeed
from repro.errors import FormatError, InputError, TrainingError, UnsupportedError
from repro.solver.build import build_solver
from repro.solver.log import TrainingLog
from repro.solver.solver import Solver

SHAPES = {"data": (2, 3, 12, 12), "label": (2, 1, 12, 12)}
SOLVER = """net: "net.prototxt"
base_lr: 0.05 momentum: 0.9 weight_decay: 0.0005 lr_policy: "multistep" stepvalue: 3 stepvalue: 7 gamma: 0.5
max_iter: 10 iter_size: 2 snapshot: 5 snapshot_prefix: "snap/small" random_seed: 4
"""


@pytest.fixture
def folder(tmp_path: Path, golden_data: Path) -> Path:
    (tmp_path / "net.prototxt").write_text((golden_data / "solver" / "small_net.prototxt").read_text())
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


def make(folder: Path, golden_data: Path, **options: Any) -> Solver:
    with np.load(golden_data / "solver" / "small_net_inputs.npz", allow_pickle=False) as inputs:
        feed = ArrayFeed({"data": inputs["data"], "label": inputs["label"]}, 2)
    return build_solver(folder / "solver.prototxt", feeds=[feed], shapes=SHAPES, out=folder, **options)


def arrays(path: Path) -> dict[str, list[np.ndarray]]:
    return {layer.name: [np.array(b.array) for b in layer.blobs] for layer in read_caffemodel(path).layers}


def assert_same_bits(first: Path, second: Path) -> None:
    one, two = arrays(first), arrays(second)
    assert one.keys() == two.keys()
    for name in one:
        for a, b in zip(one[name], two[name], strict=True):
            np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))


def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(folder: Path, golden_data: Path) -> None:
    make(folder, golden_data).solve()
    whole = folder / "snap" / "small_iter_10.caffemodel"
    state = read_solverstate(whole.with_suffix(".solverstate"))
    moved = folder / "moved"
    (folder / "snap").rename(moved)
    resumed = make(folder, golden_data, snapshot=moved / "small_iter_5.solverstate")
    assert resumed.iteration == 5
    resumed.solve()
    assert_same_bits(moved / "small_iter_10.caffemodel", whole)
    again = read_solverstate(whole.with_suffix(".solverstate"))
    assert (again.iter, again.current_step) == (state.iter, state.current_step) == (10, 2)
    for a, b in zip(again.history, state.history, strict=True):
        np.testing.assert_array_equal(a.array.view(np.int32), b.array.view(np.int32))


def test_weights_start_a_new_run_at_iteration_0(folder: Path, golden_data: Path) -> None:
    make(folder, golden_data).solve()
    model = folder / "snap" / "small_iter_5.caffemodel"
    other = make(folder, golden_data, weights=[model])
    assert other.iteration == 0
    loaded = {n: [p.detach().numpy() for p in ps] for n, ps in other.net.params.items()}
    for name, blobs in arrays(model).items():
        for array, mine in zip(blobs, loaded.get(name, []), strict=True):
            np.testing.assert_array_equal(array.reshape(mine.shape), mine)
    with pytest.raises(InputError, match="not both"):
        make(folder, golden_data, weights=[model], snapshot=model.with_suffix(".solverstate"))


def test_caffes_own_snapshot_goes_on_as_caffe_did(folder: Path, golden_data: Path) -> None:
    """Iterations 6 to 10 of sgd_multistep from the files Caffe wrote after 5, against the files it wrote after 10."""
    lines: list[str] = []
    text = SOLVER.replace("stepvalue: 3 stepvalue: 7", "stepvalue: 2 stepvalue: 5 stepvalue: 8").replace(
        "iter_size: 2", ""
    )
    (folder / "solver.prototxt").write_text(text)
    files = golden_data / "solver" / "files"
    with np.load(golden_data / "solver" / "small_net_inputs.npz", allow_pickle=False) as inputs:
        feed = ArrayFeed({"data": inputs["data"], "label": inputs["label"]}, 2, rows=2)
    solver = build_solver(
        folder / "solver.prototxt",
        feeds=[feed],
        shapes=SHAPES,
        out=folder,
        snapshot=files / "small_multistep_iter_5.solverstate",
        log=TrainingLog(say=lines.append),
    )
    assert any("the data start from the beginning" in line for line in lines)
    solver.solve()
    mine = read_caffemodel(folder / "snap" / "small_iter_10.caffemodel")
    caffes = read_caffemodel(files / "small_multistep_iter_10.caffemodel")
    assert mine.version == caffes.version == "V1"
    for layer in (layer for layer in caffes.layers if layer.blobs):
        scale = max(float(np.abs(b.array).max()) for b in layer.blobs)
        for a, b in zip(mine.layer(layer.name).blobs, layer.blobs, strict=True):
            assert a.shape == b.shape
            assert np.abs(a.array - b.array).max() <= 1e-5 * scale
    one = read_solverstate(folder / "snap" / "small_iter_10.solverstate")
    two = read_solverstate(files / "small_multistep_iter_10.solverstate")
    assert (one.iter, one.current_step, len(one.history)) == (two.iter, two.current_step, len(two.history))
    assert [b.shape for b in one.history] == [b.shape for b in two.history]
    assert [b.legacy for b in one.history] == [b.legacy for b in two.history]


def test_the_seed_of_the_snapshot_goes_before_a_fresh_one(folder: Path, golden_data: Path) -> None:
    make(folder, golden_data, seed=77, max_iter=5).solve()
    side = folder / "snap" / "small_iter_5.feedstate.json"
    assert json.loads(side.read_text())["seed"] == 77


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda f: f.write_text("{"), FormatError, "not a feed state"),
        (lambda f: f.write_text('{"version": 9}'), FormatError, "not a feed state of version"),
        (lambda f: f.write_text('{"version": 1, "iteration": 3}'), TrainingError, "taken at iteration 3"),
        (lambda f: f.write_text('{"version": 1, "iteration": 5, "feeds": [{}]}'), FormatError, "not the feed state"),
        (lambda f: f.write_text('{"version": 1, "iteration": 5, "seed": "x"}'), FormatError, "the seed 'x'"),
        (lambda f: f.write_text('{"version": 1, "iteration": 5, "seed": 1' + "0" * 30 + "}"), FormatError, "the seed"),
        (lambda f: f.with_name("small_iter_5.caffemodel").unlink(), TrainingError, "neither there nor in"),
        (lambda f: f.with_name("small_iter_5.solverstate").write_bytes(b"\x08"), FormatError, "solverstate"),
    ],
)
def test_damaged_snapshots_are_refused_by_name(
    folder: Path, golden_data: Path, damage: Any, error: type[Exception], message: str
) -> None:
    make(folder, golden_data, max_iter=5).solve()
    damage(folder / "snap" / "small_iter_5.feedstate.json")
    with pytest.raises(error, match=message):
        make(folder, golden_data, snapshot=folder / "snap" / "small_iter_5.solverstate")


def test_the_state_of_another_net_is_refused(folder: Path, golden_data: Path) -> None:
    make(folder, golden_data, max_iter=5).solve()
    text = (folder / "net.prototxt").read_text()
    first = text.index('layers { bottom: "conv1" top: "conv1" name: "bn1"')
    last = text.index('layers { bottom: "conv1" top: "conv1" name: "relu1"')
    (folder / "net.prototxt").write_text(text[:first] + text[last:])
    with pytest.raises(TrainingError, match=r"small_iter_5\.solverstate: .* 14 histories, this net 12"):
        make(folder, golden_data, snapshot=folder / "snap" / "small_iter_5.solverstate")


@pytest.mark.parametrize("learned_net", ["C:\\runs\\small_iter_5.caffemodel", "/nowhere/small_iter_5.caffemodel"])
def test_weights_are_found_beside_the_state_whatever_system_wrote_it(
    learned_net: str, folder: Path, golden_data: Path
) -> None:
    make(folder, golden_data, max_iter=5).solve()
    state = folder / "snap" / "small_iter_5.solverstate"
    history = [np.array(blob.array) for blob in read_solverstate(state).history]
    for name in ("", "a" * 5000, "a\0b"):
        write_solverstate(state, iteration=5, learned_net=name, history=history, version="V1")
        with pytest.raises(TrainingError, match="are neither there nor in"):
            make(folder, golden_data, snapshot=state)
    write_solverstate(state, iteration=5, learned_net=learned_net, history=history, version="V1")
    assert make(folder, golden_data, snapshot=state).iteration == 5


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ("test_iter: 1", InputError, "test_interval"),
        ("iter_size: 0", InputError, "iter_size 0"),
        ('type: "Lion"', UnsupportedError, "'Lion' is not available"),
        ('type: "Adam"', InputError, "younger than the 2015 fork"),
        ("snapshot_diff: true", UnsupportedError, "snapshot_diff"),
        ('lr_policy: "step"', InputError, "stepsize"),
    ],
)
def test_solver_settings_that_make_no_sense_are_refused(
    folder: Path, golden_data: Path, more: str, error: type[Exception], message: str
) -> None:
    text = SOLVER.replace("iter_size: 2", "") if "iter_size" in more else SOLVER
    if "lr_policy" in more:
        text = text.replace('lr_policy: "multistep"', "")
    (folder / "solver.prototxt").write_text(text + more + "\n")
    with pytest.raises(error, match=message):
        make(folder, golden_data)


def test_a_random_seed_is_drawn_and_told(folder: Path, golden_data: Path) -> None:
    (folder / "solver.prototxt").write_text(SOLVER.replace("random_seed: 4", ""))
    lines: list[str] = []
    make(folder, golden_data, log=TrainingLog(say=lines.append))
    assert any("repeat this run with --seed" in line for line in lines)


def test_a_seed_beyond_64_bits_is_refused(folder: Path, golden_data: Path) -> None:
    with pytest.raises(InputError, match=r"a whole number of 0\.\.9223372036854775807, not 9223372036854775808"):
        make(folder, golden_data, seed=1 << 63)


def test_two_runs_of_one_seed_are_the_same(folder: Path, golden_data: Path) -> None:
    runs = []
    for _ in range(2):
        solver = make(folder, golden_data, max_iter=3)
        solver.solve()
        runs.append([p.detach().clone() for *_, p, _, _ in solver.net.param_entries])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_load_solver_is_what_build_solver_takes(folder: Path, golden_data: Path) -> None:
    spec = load_solver(folder / "solver.prototxt")
    with np.load(golden_data / "solver" / "small_net_inputs.npz", allow_pickle=False) as inputs:
        feed = ArrayFeed({"data": inputs["data"], "label": inputs["label"]}, 2)
    assert build_solver(spec, feeds=[feed], shapes=SHAPES, out=folder).schedule.max_iter == 10
