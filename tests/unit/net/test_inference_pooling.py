"""In-place Scale and ReLU right before a max pooling are done by it where only it reads the blob: the same bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from repro import Net, ops

HEAD = """
name: "n" input: "data" input_dim: 2 input_dim: 3 input_dim: 19 input_dim: 22
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 6 kernel_size: 5 stride: 1
  weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "gaussian" std: 0.3 } } }
"""
SCALE = """
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true
  filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } } }
"""
RELU = 'layer { name: "r" type: "ReLU" bottom: "c" top: "c" }\n'
LEAKY = 'layer { name: "r" type: "ReLU" bottom: "c" top: "c" relu_param { negative_slope: 0.1 } }\n'
POOL = """
layer { name: "p" type: "Pooling" bottom: "c" top: "p" top: "m" pooling_param { pool: MAX kernel_size: %d stride: 2 } }
layer { name: "u" type: "Unpooling" bottom: "p" bottom: "m" top: "u" unpooling_param {
  unpool: MAX kernel_size: %d stride: 2 unpool_h: 15 unpool_w: 18 } }
"""
AVERAGE = (
    'layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }\n'
)
SECOND = 'layer { name: "e" type: "Eltwise" bottom: "c" bottom: "c" top: "e" }\n'
BATCH_NORM = 'layer { name: "b" type: "BN" bottom: "c" top: "c" bn_param { bn_mode: INFERENCE } }\n'
TWO, THREE = POOL % (2, 2), POOL % (3, 3)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    made: list[tuple] = []
    real = ops.scale_shift_relu_pool

    def spy(*args: Any, **options: Any) -> Any:
        made.append((args[1] is not None, args[2] is not None, options["relu"]))
        return real(*args, **options)

    monkeypatch.setattr(ops, "scale_shift_relu_pool", spy)
    return made


@torch.no_grad()
@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (SCALE + RELU + TWO, [(True, True, True)]),
        (SCALE + RELU + THREE, [(True, True, True)]),
        (BATCH_NORM + RELU + TWO, [(True, True, True)]),
        (RELU + TWO, [(False, False, True)]),
        (SCALE + TWO, [(True, True, False)]),
        (RELU + SCALE + TWO, [(True, True, False)]),  # the ReLU by itself: it comes first
        (SCALE + LEAKY + TWO, []),
        (TWO, []),
        (RELU + AVERAGE, []),
        (RELU + TWO + SECOND, []),  # read twice
        (RELU + SECOND + TWO, []),
    ],
)
def test_same_bits_in_one_pass(layers: str, expected: list[tuple], calls: list[tuple]) -> None:
    net = (
        Net(HEAD + layers, seed=5, dialect="deconvnet")
        if "BN" in layers or "Unpooling" in layers
        else Net(HEAD + layers)
    )
    x = torch.randn((2, 3, 19, 22), generator=torch.Generator().manual_seed(1))
    fused = net(data=x)
    assert calls == expected
    apart = net(data=x, capture=True)
    assert calls == expected  # capture shows every blob, so there each layer runs by itself
    for name, value in fused.items():
        assert torch.equal(value, apart.by_name[name])
    with torch.enable_grad():
        net(data=x)
    assert calls == expected


@torch.no_grad()
def test_what_the_pooling_reads_is_not_written(calls: list[tuple]) -> None:
    net = Net(HEAD + SCALE + RELU + TWO, seed=5, dialect="deconvnet")
    x = torch.randn(2, 3, 19, 22)
    first, second = net(data=x)["u"], net(data=x)["u"]
    assert torch.equal(first, second)
    assert len(calls) == 2
    put = torch.full((2, 6, 15, 18), 3.0)
    assert not torch.equal(net(data=x, override={"c": put})["u"], first)
    assert len(calls) == 2
