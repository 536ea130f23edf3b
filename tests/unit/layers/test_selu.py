"""SeLu is torch's SELU but for the rounding of its constants; its dropout keeps mean and variance."""

from __future__ import annotations

import pytest
import torch

from repro import Net
from repro.errors import NetError

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


@pytest.mark.parametrize("kind", ["Dropout", "SeLuDropout"])
def test_a_dropout_of_nothing_is_the_identity(kind: str) -> None:
    """Caffe's checks of the ratio are of its debug build only; files with 0 to switch a layer off exist."""
    options = "selu_dropout_param" if kind == "SeLuDropout" else "dropout_param"
    head = 'input: "x" input_dim: [2, 3, 4, 5] '
    text = f'{head} layer {{ name: "d" type: "{kind}" bottom: "x" top: "d" {options} {{ %s }} }}'
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(Net(text % "dropout_ratio: 0", phase="TRAIN")(x=x)["d"], x)
    for ratio in ("1", "-0.1", "nan"):
        with pytest.raises(NetError, match="dropout_ratio is"):
            Net(text % f"dropout_ratio: {ratio}", phase="TRAIN")
