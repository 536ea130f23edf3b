"""The release's BN script on the thin DeconvNet: averages, folded scales and shifts, and the scores they give."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from repro.cli.main import build_parser
from repro.data.feeds import ArrayFeed
from repro.net import Net
from repro.papers.bn_testable import BatchStatistics, average_statistics, fold, fold_into


@pytest.fixture(scope="module")
def golden(golden_data: Path) -> dict[str, np.ndarray]:
    with np.load(golden_data / "bn_testable" / "statistics.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def seeded_weights(folder: Path) -> dict[str, list[np.ndarray]]:
    module = _module(folder / "seeded_weights.py")
    layers = json.loads((folder / "bn_testable.weights.json").read_text())["layers"]
    return {
        entry["layer"]: module.layer_weights(entry["type"], entry["shapes"], entry["bottom_type"], entry["seed"])
        for entry in layers
    }


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_averages_and_folding_are_the_scripts_own_arithmetic(golden: dict[str, np.ndarray]) -> None:
    """Given the statistics of each pass, averages come out bit for bit; so do scale and shift for unit parameters."""
    names = [key.removeprefix("means__") for key in golden if key.startswith("means__")]
    assert len(names) == 29
    for name in names:
        for kind, average in (("means", "avgmean"), ("vars", "avgvar")):
            total = golden[f"{kind}__{name}"][0].copy()
            for value in golden[f"{kind}__{name}"][1:]:
                total = total + value
            total /= 5
            np.testing.assert_array_equal(total, golden[f"{average}__{name}"])


def test_folding_needs_no_bessel_factor(golden: dict[str, np.ndarray], shared: Path) -> None:
    weights = seeded_weights(shared / "golden" / "caffe")
    worst = 0
    for key in (k for k in golden if k.startswith("scale__")):
        name = key.removeprefix("scale__")
        statistics = BatchStatistics(golden[f"avgmean__{name}"], golden[f"avgvar__{name}"], 4)
        scale, shift = fold(weights[name][0].reshape(-1), weights[name][1].reshape(-1), statistics)
        for ours, theirs in ((scale, golden[key]), (shift, golden[f"shift__{name}"])):
            steps = np.abs(ours.view(np.int32).astype(np.int64) - theirs.view(np.int32)).max()
            worst = max(worst, int(steps))
    print("ULP:", worst)
    assert worst == 0


@pytest.mark.parametrize(("count", "script", "bessel"), [(2, 2, 2), (3, 1, 1.5), (4, 1, 4 / 3), (1000, 1, 1000 / 999)])
def test_factor_is_that_of_whole_numbers(count: int, script: float, bessel: float) -> None:
    """Python 2's m / (m - 1), and the one that was meant; eps 1e-9 under the root."""
    one = np.ones(1, np.float32)
    statistics = BatchStatistics(3 * one, 5 * one, count)
    for factor, corrected in ((script, False), (bessel, True)):
        scale, shift = fold(2 * one, 7 * one, statistics, bessel=corrected)
        assert scale[0] == pytest.approx(2 / np.sqrt(5 * factor + 1e-9), rel=1e-6)
        assert shift[0] == pytest.approx(7 - 6 / np.sqrt(5 * factor + 1e-9), rel=1e-6)


def test_the_default_is_the_scripts_501_forwards() -> None:
    args = build_parser("bn-testable").parse_args(["bn-testable", "net", "weights", "out"])
    assert (args.iterations, args.bessel) == (501, False)


@pytest.mark.slow
def test_five_batches_through_the_net(golden: dict[str, np.ndarray], shared: Path) -> None:
    folder = shared / "golden" / "caffe"
    weights = seeded_weights(folder)
    net = Net(folder / "bn_testable_learn.prototxt", weights)
    batches = [
        np.random.Generator(np.random.PCG64(9000 + i)).standard_normal((4, 3, 224, 224)) * (1 + 0.25 * i) + 0.5 * i
        for i in range(5)
    ]
    feed = ArrayFeed({"data": np.concatenate(batches).astype(np.float32)}, 4)
    averaged = average_statistics(net, [feed], 5)
    found = {
        "mean": max(relative(s.mean, golden[f"avgmean__{n}"]) for n, s in averaged.items()),
        "var": max(relative(s.var, golden[f"avgvar__{n}"]) for n, s in averaged.items()),
    }
    encoders = {n: s for n, s in averaged.items() if n.startswith("bn") and n[2].isdigit()}
    encoder = max(relative(s.var, golden[f"avgvar__{n}"]) for n, s in encoders.items())
    fold_into(net, averaged)
    for kind, index in (("scale", 0), ("shift", 1)):
        ours = {n: net.params[n][index].detach().numpy().reshape(-1) for n in averaged}
        found[kind] = max(relative(ours[n], golden[f"{kind}__{n}"]) for n in ours)
    deploy = Net(
        folder / "thin_deconvnet.prototxt", {n: [p.detach().numpy() for p in ps] for n, ps in net.params.items()}
    )
    image = np.random.Generator(np.random.PCG64(9100)).standard_normal((1, 3, 224, 224)).astype(np.float32)
    with torch.no_grad():
        score = deploy(data=torch.from_numpy(image))["seg-score"].numpy()
    with np.load(folder / "bn_testable.npz", allow_pickle=False) as file:
        found["score"] = relative(score[:, :, ::3, ::3], file["inference_seg_score_every3"])
    print(f"encoder {encoder:.1e}", found)
    assert encoder <= 5e-6
    # From fc6 on each statistic is over the four values of a batch, which enlarges rounding (1e-5), and in one batch
    # one of pool4's switches falls the other way: its unpooled value lands a pixel off
    assert max(found.values()) <= 5e-4, found
    assert averaged["bnfc6"].count == 4
