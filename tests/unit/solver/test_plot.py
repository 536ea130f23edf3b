"""Logs of training read back, Caffe's own and ours, and drawn by `repro plot`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from repro.cli.main import main
from repro.errors import DataError, FormatError
from repro.solver.read_log import read_log

OLD = """I0615 10:00:00.000001  77 solver.cpp:165] Solving DeconvNet
I0615 10:00:00.000001  77 solver.cpp:251] Iteration 0, Testing net (#0)
I0615 10:00:01.000001  77 solver.cpp:302]     Test net output #0: seg-accuracy = 0.125
I0615 10:00:02.000001  77 solver.cpp:195] Iteration 0, loss = 3.04452
I0615 10:00:02.000001  77 solver.cpp:210]     Train net output #0: seg-loss = 3.04452 (* 1 = 3.04452 loss)
I0615 10:00:02.000001  77 solver.cpp:405] Iteration 0, lr = 0.01
I0615 10:00:03.000001  77 solver.cpp:195] Iteration 20, loss = -nan
I0615 10:00:03.000001  77 solver.cpp:251] Iteration 20, Testing net (#1)
I0615 10:00:04.000001  77 solver.cpp:302]     Test net output #0: seg-accuracy = 5e-1
"""


def test_a_log_of_the_2015_caffe(tmp_path: Path) -> None:
    (tmp_path / "caffe.INFO").write_text(OLD)
    found = read_log(tmp_path / "caffe.INFO")
    assert found.loss[0] == 3.04452
    assert math.isnan(found.loss[20])
    assert found.lr == {0: 0.01}
    assert found.train == {"seg-loss": {0: 3.04452}}
    assert found.test == {"seg-accuracy": {0: 0.125}, "seg-accuracy (#1)": {20: 0.5}}


def test_a_log_of_bvlc_caffe(golden_data: Path) -> None:
    found = read_log(golden_data / "solver_bvlc" / "adam.log")
    assert found.loss == {0: 1.38629, 2: 1.39285, 4: 1.38809, 6: 1.38628, 8: 1.38804}
    assert found.lr == {0: 0.005, 2: 0.0025, 4: 0.0025, 6: 0.0025}
    assert found.test == {"loss": {0: 1.38629, 4: 1.38889, 8: 1.38661}}


def test_a_resumed_run_replaces_what_it_repeats(tmp_path: Path) -> None:
    lines = [
        f'{{"kind": "train", "time": 1, "iteration": {i}, "smoothed_loss": {loss}, "lr": 0.1, "outputs": {{"l": 1.0}}}}'
        for i, loss in ((0, 3.0), (10, 2.0), (10, 1.5), (20, "null"))
    ]
    lines.append('{"kind": "test", "time": 2, "iteration": 20, "net": 0, "accuracy": 0.75}')
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, '{"kind": "tra']))
    found = read_log(tmp_path / "train.jsonl")
    assert {k: found.loss[k] for k in (0, 10)} == {0: 3.0, 10: 1.5}
    assert math.isnan(found.loss[20])
    assert found.test == {"accuracy": {20: 0.75}}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", DataError, "is it a log"),
        (b"nothing of the kind\n", DataError, "is it a log"),
        (b"\x89PNG\0\0", FormatError, "not a text file"),
        (b'{"kind": "train", "iteration": 1}\n{}\n', FormatError, ":1: not a record"),
        (b"{" * 100_000 + b"\n{}\n", FormatError, ":1: not a record"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, error: type[Exception], message: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(error, match=message):
        read_log(tmp_path / "x")
    with pytest.raises(DataError, match="no such file"):
        read_log(tmp_path / "y")


def test_the_verb_draws_several_logs(tmp_path: Path, golden_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib (extra: figures)")
    (tmp_path / "old.log").write_text(OLD)
    out = tmp_path / "curves.png"
    logs = [str(golden_data / "solver_bvlc" / "adam.log"), str(tmp_path / "old.log")]
    assert main(["plot", *logs, "--out", str(out), "--title", "two runs"]) == 0
    assert "iterations 0 to 8, loss 1.38629 to 1.38804" in capsys.readouterr().out
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
    assert main(["plot", *logs, "--out", str(tmp_path / "x.pdf")]) == 2
