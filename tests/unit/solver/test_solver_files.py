"""Solver prototxts as strangers write them: states, several test nets, prefixes, nets that learn nothing, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.caffe import load_solver
from repro.data.feeds import ArrayFeed
from repro.errors import InputError
from repro.solver.build import build_solver
from repro.solver.log import TrainingLog

NET = """name: "line"
layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" %s
  inner_product_param { num_output: 1 weight_filler { type: "constant" value: 0.5 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 random_seed: 3\n'
ARRAYS = {"x": np.ones((2, 3), np.float32), "y": np.zeros((2, 1), np.float32)}


def train(folder: Path, solver: str = SOLVER, params: str = "", more: str = "") -> list[str]:
    """Runs a solver; its lines."""
    lines: list[str] = []
    (folder / "net.prototxt").write_text(NET % params + more)
    (folder / "solver.prototxt").write_text(solver)
    log = TrainingLog(say=lines.append)
    build_solver(folder / "solver.prototxt", feeds=[ArrayFeed(ARRAYS, 2)], out=folder, log=log).solve()
    return lines


STATED = """name: "stated" state { %s }
layer { name: "train" type: "DummyData" top: "a" include { phase: TRAIN }
  dummy_data_param { shape { dim: 1 } } }
layer { name: "test" type: "DummyData" top: "a" include { phase: TEST }
  dummy_data_param { shape { dim: 1 } } }
layer { name: "deep" type: "DummyData" top: "b" include { min_level: 2 }
  dummy_data_param { shape { dim: 1 } } }
layer { name: "staged" type: "DummyData" top: "c" include { stage: "own" stage: "more" }
  dummy_data_param { shape { dim: 1 } } }
"""


@pytest.mark.parametrize(
    ("own", "solver", "layers"),
    [
        ("", "", ["train"]),
        ("level: 2", "", ["train", "deep"]),
        ("level: 2", "train_state { level: 1 }", ["train"]),
        ("level: 1", "train_state { level: 3 }", ["train", "deep"]),
        ('stage: "own"', "", ["train"]),
        ('stage: "own"', 'train_state { stage: "more" }', ["train", "staged"]),
        ("phase: TEST", "", ["test"]),
        ("phase: TEST", "train_state { phase: TRAIN }", ["train"]),
    ],
)
def test_the_nets_own_state_counts_where_the_solver_says_nothing(
    own: str, solver: str, layers: list[str], tmp_path: Path
) -> None:
    """Solver::InitTrainNet merges TRAIN, the net's state and train_state, in this order."""
    (tmp_path / "net.prototxt").write_text(STATED % own)
    (tmp_path / "solver.prototxt").write_text(f'net: "net.prototxt" test_iter: 1 test_iter: 1 {solver}')
    spec = load_solver(tmp_path / "solver.prototxt")
    assert [layer.name for layer in spec.load_train_net().layers] == layers
    tests = ["test", *layers[1:]] if not solver else None
    if tests is not None:
        assert [[layer.name for layer in net.layers] for net in spec.load_test_nets()] == [tests, tests]


@pytest.mark.parametrize(
    ("prefix", "written"),
    [
        ("", "solver_iter_2"),
        ("snap/small", "snap/small_iter_2"),
        ("snap/", "snap/solver_iter_2"),
        ("there", "there/solver_iter_2"),
    ],
)
def test_a_prefix_that_is_a_folder_gets_the_solvers_name(prefix: str, written: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    train(tmp_path, SOLVER + (f'snapshot_prefix: "{prefix}"' if prefix else ""))
    assert (tmp_path / f"{written}.solverstate").is_file()


def test_a_net_without_a_parameter_that_learns_shows_its_losses(tmp_path: Path) -> None:
    lines = train(tmp_path, SOLVER + "display: 1 weight_decay: 0.1", "param { lr_mult: 0 } param { lr_mult: 0 }")
    assert [line for line in lines if ", loss" in line] == [f"Iteration {i}, loss = 1.125" for i in range(3)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('lr_policy: "cosine"', "lr_policy 'cosine' is none of"),
        ('regularization_type: "L3"', "regularization_type 'L3' is none of"),
        ("solver_type: ADAM", "younger than the 2015 fork"),
        ("momentum: inf", "must be finite"),
    ],
)
def test_refusals_say_where(more: str, message: str, tmp_path: Path) -> None:
    text = SOLVER.replace('lr_policy: "fixed"', "") if "lr_policy" in more else SOLVER
    with pytest.raises(InputError, match=rf"solver\.prototxt:1:1: .*{message}"):
        train(tmp_path, text + more)


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ("num_output: 1 bias_term: false", r"layer 'ip' has 1 blobs in .*test\.prototxt, 2 in .*net\.prototxt, whose"),
        ("num_output: 1 axis: 0", r"layer 'ip' has shape \(1, 6\) in .*, \(1, 3\) in .*, whose"),
    ],
)
def test_a_test_net_that_cannot_share(instead: str, message: str, tmp_path: Path) -> None:
    data = 'layer { name: "%s" type: "DummyData" top: "%s" dummy_data_param { shape { dim: 2 dim: %d } } }'
    layers = [*(data % made for made in (("x", "x", 3), ("y", "y", 1))), *(NET % "").splitlines()[2:-1]]
    (tmp_path / "net.prototxt").write_text(
        "\n".join([*layers, 'layer { name: "l" type: "Reduction" bottom: "ip" top: "l" }'])
    )
    (tmp_path / "test.prototxt").write_text((tmp_path / "net.prototxt").read_text().replace("num_output: 1", instead))
    (tmp_path / "solver.prototxt").write_text(
        SOLVER.replace("net:", "train_net:") + 'test_net: "test.prototxt" test_iter: 1 test_interval: 1'
    )
    with pytest.raises(InputError, match=message):
        build_solver(tmp_path / "solver.prototxt", out=tmp_path)


def test_outputs_have_caffes_order_and_numbers(tmp_path: Path) -> None:
    """By name, as Net::Init gathers them: accuracy before loss, whatever the net runs first."""
    more = """layer { name: "z" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "z" loss_weight: 0.5 }
layer { name: "a" type: "Reduction" bottom: "ip" top: "a" }
"""
    lines = train(tmp_path, SOLVER + "display: 2", more=more)
    shown = [line.split(" = ")[0].strip() for line in lines if "net output" in line]
    assert shown == ["Train net output #0: a", "Train net output #1: loss", "Train net output #2: z"]
