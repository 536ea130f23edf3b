"""SeLu is torch's SELU but for the rounding of its constants; its dropout keeps mean and variance."""

from __future__ import annotations

import torch

from repro import Net

TEXT = """
input: "x" input_dim: 1 input_dim: 1 input_dim: 100 input_dim: 1000
layer { name: "s" type: "SeLu" bottom: "x" top: "s" }
layer { name: "d" type: "SeLuDropout" bottom: "x" top: "d" selu_dropout_param { dropout_ratio: 0.1 } }
"""


def test_selu() -> None:
    x = torch.randn(1, 1, 100, 1000, generator=torch.Generator().manual_seed(1))
    tops = Net(TEXT)(x=x)
    torch.testing.assert_close(tops["s"], torch.nn.functional.selu(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(tops["d"], x)
    torch.manual_seed(2)
    dropped = Net(TEXT, phase="TRAIN")(x=x)["d"]
    assert abs(float(dropped.mean())) < 0.02
    assert abs(float(dropped.var()) - 1) < 0.03
