"""The loop around the update: display, tests, smoothing, what a loss that is not finite does, and stopping early."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from line_net import Line

from repro.data.feeds import ArrayFeed
from repro.errors import TrainingError
from repro.solver.interrupt import stop_on_signal
from repro.solver.log import SmoothedLoss, TrainingLog
from repro.solver.lr_policy import LearningRate
from repro.solver.optim import CaffeSGD
from repro.solver.read_log import read_log
from repro.solver.solver import Schedule, Solver, TestNet, entries_by_multiplier


class SavedLine(Line):
    """With a second output of two values, and a file to be saved to."""

    def forward(self, **blobs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {**super().forward(**blobs), "x2": torch.cat([blobs["x"]] * 2)}

    def save(self, path: Path) -> None:
        torch.save([self.w, self.b], path)

    def load(self, path: Path) -> None:
        raise NotImplementedError


X = torch.tensor([1.0, 2.0, -1.0, 3.0])
Y = torch.tensor([2.0, 3.0, 0.0, 5.0])


def make(
    schedule: Schedule, *, caffe: str = "2015", log: TrainingLog | None = None, x: torch.Tensor = X, **more: object
) -> Solver:
    net = SavedLine()
    optimizer = CaffeSGD(
        entries_by_multiplier(net.param_entries), 0.01, 0.9, 0.1, caffe=caffe, iter_size=schedule.iter_size
    )
    return Solver(
        net,
        [ArrayFeed({"x": x, "y": Y}, 1)],
        optimizer,
        LearningRate("fixed", 0.01),
        schedule,
        overwritten=[net.b] if caffe == "2015" else [],
        loss_weights={"loss": 1.0},
        log=log,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("caffe", ["2015", "bvlc"])
def test_sub_batches_accumulate_and_bn_keeps_the_last_in_2015(caffe: str) -> None:
    solver = make(Schedule(max_iter=1, iter_size=4), caffe=caffe)
    loss = solver.step()
    residual = 0.5 * X - Y
    assert loss == pytest.approx(residual.square().mean().item())
    grad_w = (2 * residual * X).sum().item()
    grad_b = 2 * (residual[-1] if caffe == "2015" else residual.sum()).item()
    decay = 0.1 * 0.5
    step_w = (grad_w + decay) / 4 if caffe == "2015" else grad_w / 4 + decay
    assert solver.net.w.item() == pytest.approx(0.5 - 0.01 * step_w)  # type: ignore[attr-defined]
    assert solver.net.b.item() == pytest.approx(-0.01 * 2 * grad_b / 4)  # type: ignore[attr-defined]


def test_lines_and_records_are_caffes(tmp_path: Path) -> None:
    lines: list[str] = []
    log = TrainingLog(say=lines.append, folder=tmp_path)
    make(Schedule(max_iter=5, display=2, average_loss=2), log=log).solve()
    log.close()
    shown = [line for line in lines if line.startswith("Iteration")]
    assert [line.split(",")[0] for line in shown] == [f"Iteration {i}" for i in (0, 0, 2, 2, 4, 4)]
    assert not any("iter/s" in line for line in lines)
    assert shown[1] == "Iteration 0, lr = 0.01"
    assert lines[1:4] == [
        "    Train net output #0: loss = 2.25 (* 1 = 2.25 loss)",
        "    Train net output #1: x2 = 1",
        "    Train net output #2: x2 = 1",
    ]
    assert lines[-1] == "Optimization Done."
    text = (tmp_path / "train.log").read_text().splitlines()
    assert text[0].startswith("I")
    assert text[0].endswith("solver.py] Iteration 0, loss = 2.25")
    records = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [r["iteration"] for r in records] == [0, 2, 4]
    assert records[0]["outputs"] == {"loss": 2.25, "x2": 1.0, "x2[1]": 1.0}
    for name in ("train.log", "train.jsonl"):
        curves = read_log(tmp_path / name)
        assert curves.train["x2[1]"] == {0: 1.0, 2: -1.0, 4: 1.0}


def test_lines_of_bvlc_and_the_loss_after_training() -> None:
    lines: list[str] = []
    make(Schedule(max_iter=4, display=2), caffe="bvlc", log=TrainingLog(say=lines.append)).solve()
    shown = [line for line in lines if line.startswith("Iteration")]
    forms = (r"Iteration %d \([-+.\de]+ iter/s, [.\de-]+s/2 iters\), loss = [.\d]+", r"Iteration %d, lr = 0\.01")
    expected = [form % i for i in (0, 2) for form in forms] + [r"Iteration 4, loss = [.\d]+"]
    assert len(shown) == len(expected)
    assert all(re.fullmatch(form, line) for form, line in zip(expected, shown, strict=True))


def test_the_smoothed_loss_is_the_mean_of_the_last_losses() -> None:
    smoothed = SmoothedLoss(3)
    assert [smoothed.add(v) for v in (3.0, 1.0, 2.0, 6.0)] == [3.0, 2.0, 2.0, 3.0]


def test_tests_run_at_their_interval_and_average(tmp_path: Path) -> None:
    lines: list[str] = []
    log = TrainingLog(say=lines.append, folder=tmp_path)
    test = TestNet(SavedLine(), [ArrayFeed({"x": X, "y": Y}, 1)], 4)
    make(Schedule(max_iter=4, test_interval=2, test_initialization=False), log=log, tests=[test]).solve()
    log.close()
    assert [line for line in lines if "Testing" in line] == [f"Iteration {i}, Testing net (#0)" for i in (2, 4)]
    records = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert records[0]["loss"] == pytest.approx((0.5 * X - Y).square().mean().item())
    assert records[0]["x2"] == records[0]["x2[1]"] == X.mean().item()
    assert "    Test net output #2: x2 = 1.25" in lines


def test_a_loss_that_is_not_finite_stops_before_any_parameter_changes() -> None:
    solver = make(Schedule(max_iter=4), x=torch.tensor([1.0, 2.0, float("inf"), 1.0]))
    solver.step()
    solver.step()
    before = solver.net.w.detach().clone()  # type: ignore[attr-defined]
    with pytest.raises(TrainingError, match="iteration 2: the loss is inf"):
        solver.step()
    assert torch.equal(before, solver.net.w)  # type: ignore[attr-defined]
    solver = make(Schedule(max_iter=4), x=torch.tensor([float("nan")] * 4), diagnose=lambda batch: "conv")
    with pytest.raises(TrainingError, match="not finite come out of layer 'conv'"):
        solver.step()


def test_snapshots_come_at_their_interval_and_after_training() -> None:
    taken: list[int] = []

    def save(solver: Solver) -> Path:
        taken.append(solver.iteration)
        return Path("state")

    make(Schedule(max_iter=7, snapshot=3), save=save).solve()
    assert taken == [3, 6, 7]
    make(Schedule(max_iter=2, snapshot_after_train=False), save=save).solve()
    assert taken == [3, 6, 7]
    make(Schedule(max_iter=4, snapshot=2, snapshot_after_train=False), save=save).solve()
    assert taken == [3, 6, 7, 2, 4]


def test_a_signal_ends_the_iteration_takes_a_snapshot_and_says_how_to_go_on() -> None:
    taken: list[int] = []

    def save(solver: Solver) -> Path:
        taken.append(solver.iteration)
        return Path("here.solverstate")

    solver = make(Schedule(max_iter=1000), save=save)
    with pytest.raises(KeyboardInterrupt, match=r"resume with --snapshot here\.solverstate"):
        solver.solve(lambda p: os.kill(os.getpid(), signal.SIGINT) if p.iteration == 3 else None)
    assert taken == [3]
    assert solver.iteration == 3


def test_the_same_request_passed_on_twice_is_one_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        stop.since -= 2
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_backward_pass_has_the_settings_of_the_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN reads its switches when it is called: outside of them gradients would be TF32's and not repeat."""
    inside: list[str] = []
    seen: list[bool] = []

    @contextlib.contextmanager
    def settings(device: torch.device) -> Iterator[None]:
        inside.append(device.type)
        yield
        inside.clear()

    monkeypatch.setattr("repro.solver.solver.native_numerics", settings)
    solver = make(Schedule(max_iter=1))
    solver.net.w.register_hook(lambda grad: seen.append(inside == ["cpu"]))  # type: ignore[attr-defined]
    solver.step()
    assert seen == [True]
