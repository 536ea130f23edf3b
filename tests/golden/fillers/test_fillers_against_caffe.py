"""Every filler: the values of BVLC Caffe with its own random numbers, and Caffe's distribution with torch's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import filler_cases as cases
import numpy as np
import pytest
import torch

from repro.caffe import load_net
from repro.data.feeds import file_shapes
from repro.errors import UnsupportedError
from repro.layers.caffe_random import CaffeRandom
from repro.layers.fillers import fill
from repro.net import Net
from repro.solver.caffe_start import start_as_caffe


def filler_of(name: str) -> Any:
    return load_net(cases.net(name)).layers[-1].options("convolution_param").weight_filler


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_the_very_values_of_caffe(name: str, golden_data: Path) -> None:
    count, kernel, _ = cases.CASES[name]
    with np.load(golden_data / "fillers_bvlc.npz", allow_pickle=False) as stored:
        expected = stored[name]
    found = torch.full((count, 3, kernel, kernel), 9.0)
    fill(found, filler_of(name), CaffeRandom(cases.SEED))
    if name.endswith("_long"):
        flat = found.flatten().numpy()
        np.testing.assert_array_equal(flat[: cases.ENDS], expected[: cases.ENDS])
        np.testing.assert_array_equal(flat[-cases.ENDS :], expected[cases.ENDS :])
    else:
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("name", ["uniform", "gaussian", "xavier", "xavier_average", "msra", "positive_unitball"])
@pytest.mark.parametrize("stream", ["torch", "caffe"])
def test_both_streams_have_one_distribution(name: str, stream: str, golden_data: Path) -> None:
    """Mean and standard deviation of 48,000 values against those of the definition, within five standard errors."""
    shape, filler = (640, 3, 5, 5), filler_of(name)
    values = torch.empty(shape)
    fill(values, filler, torch.Generator().manual_seed(3) if stream == "torch" else CaffeRandom(3))
    fan_in, fan_out = 75, 640 * 25
    mean, std = {
        "uniform": (0.5, 2 / math.sqrt(12)),
        "gaussian": (2, 3),
        "xavier": (0, math.sqrt(1 / fan_in)),
        "xavier_average": (0, math.sqrt(2 / (fan_in + fan_out))),
        "msra": (0, math.sqrt(2 / fan_in)),
        "positive_unitball": (1 / 75, 1 / 75 / math.sqrt(3)),
    }[name]
    count = values.numel()
    if name == "positive_unitball":
        torch.testing.assert_close(values.flatten(1).sum(1), torch.ones(640))
        assert float(values.min()) >= 0
    else:
        assert abs(float(values.mean()) - mean) < 5 * std / math.sqrt(count)
    assert float(values.std()) == pytest.approx(std, rel=0.02)
    if "xavier" in name or name == "uniform":
        assert float((values - mean).abs().max()) <= std * math.sqrt(3) * (1 + 1e-6)


def test_moments_of_the_2015_caffe(shared: Path) -> None:
    """The statistics its fillers left, drawn anew: within what the number of values allows."""
    stored = json.loads((shared / "golden" / "caffe" / "fillers.json").read_text())
    seen = 0
    for name, case in stored.items():
        if "std" not in case or not case["param"]:
            continue
        text = cases.net("gaussian").replace(cases.CASES["gaussian"][2], case["param"].replace("'", '"'))
        filler = load_net(text).layers[-1].options("convolution_param").weight_filler
        values = torch.empty(case["shape"])
        fill(values, filler, torch.Generator().manual_seed(1), legacy_blobs=True)
        error = 8 * case["std"] / math.sqrt(case["count"])
        assert abs(float(values.mean()) - case["mean"]) <= error + 1e-9, name
        assert float(values.std()) == pytest.approx(case["std"], rel=0.05, abs=1e-7), name
        seen += 1
    assert seen >= 9


@pytest.mark.parametrize("name", sorted(cases.DATA))
def test_whole_nets_start_as_caffes_do(name: str, golden_data: Path) -> None:
    text, phase = cases.whole(name)
    spec = load_net(text, phase=phase)
    net = Net(spec, shapes=file_shapes(spec, golden_data / "feeds_bvlc"))
    start_as_caffe(net, cases.SEED)
    with np.load(golden_data / "fillers_bvlc.npz", allow_pickle=False) as stored:
        expected = stored[f"whole_{name}"]
    np.testing.assert_array_equal(torch.cat([p.detach().flatten() for p in net.parameters()]).numpy(), expected)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WindowData", "window_data_param { batch_size: 1 crop_size: 9 }"),
        ("DummyData", 'dummy_data_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } data_filler { type: "gaussian" } }'),
    ],
)
def test_data_layers_that_were_not_asked_are_refused(kind: str, options: str) -> None:
    net = Net(f'name: "w" layer {{ name: "d" type: "{kind}" top: "data" {options} }}')
    with pytest.raises(UnsupportedError, match=f"a {kind} layer takes is not known"):
        start_as_caffe(net, 1)


def test_draws_go_on_where_they_stood() -> None:
    whole, parts = CaffeRandom(5), CaffeRandom(5)
    expected = np.concatenate([whole.gaussian(0, 1, 200_001), whole.uniform(0, 1, 10)])
    found = [parts.gaussian(0, 1, n) for n in (1, 99_999, 100_001)]
    np.testing.assert_array_equal(np.concatenate([*found, parts.uniform(0, 1, 10)]), expected)
    assert abs(float(expected[:-10].mean())) < 0.01
    assert float(np.abs(expected).max()) > 4
