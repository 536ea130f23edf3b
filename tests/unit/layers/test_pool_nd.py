"""Pooling of other than two axes, and with gaps, held to loops."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from repro import Net


def net(options: str, shape: tuple[int, ...], kind: str = "Pooling", dialect: str | None = None) -> Net:
    dims = " ".join(f"dim: {d}" for d in shape)
    return Net(
        f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n'
        f'layer {{ name: "p" type: "{kind}" bottom: "x" top: "y" pooling_param {{ {options} }} }}\n',
        dialect=dialect,
    )


def by_loops(x: torch.Tensor, k: int, s: int, p: int, d: int, average: bool) -> torch.Tensor:
    extent = d * (k - 1) + 1
    out = []
    for side in x.shape[2:]:
        count = math.ceil((side + 2 * p - extent) / s) + 1
        out.append(count - 1 if p and (count - 1) * s >= side + p else count)
    y = torch.empty(*x.shape[:2], *out)
    for place in itertools.product(*(range(n) for n in y.shape)):
        values, counted = [], 0
        for step in itertools.product(range(k), repeat=len(out)):
            at = [q * s - p + t * d for q, t in zip(place[2:], step, strict=True)]
            counted += all(a < side + p for a, side in zip(at, x.shape[2:], strict=True))
            if all(0 <= a < side for a, side in zip(at, x.shape[2:], strict=True)):
                values.append(float(x[(*place[:2], *at)]))
        y[place] = sum(values) / counted if average else max(values)
    return y


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(("k", "s", "p", "d"), [(2, 2, 0, 1), (3, 2, 1, 1), (2, 1, 0, 2), (3, 2, 0, 2)])
@pytest.mark.parametrize("shape", [(2, 2, 9), (1, 2, 7, 6, 8), (1, 2, 8, 9)])
def test_against_loops(shape: tuple[int, ...], k: int, s: int, p: int, d: int, average: bool) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    gaps = f"kstride: {d}" if d > 1 or len(shape) == 4 else ""
    kind = "PoolingSK" if gaps else "Pooling"
    options = f"pool: {'AVE' if average else 'MAX'} kernel_size: {k} stride: {s} pad: {p} {gaps}"
    built = net(options, shape, kind, "greentea")
    y = built(x=x)["y"]
    torch.testing.assert_close(y, by_loops(x, k, s, p, d, average), rtol=1e-6, atol=1e-6)


def test_two_axes_without_gaps_stay_with_the_op() -> None:
    assert type(net("pool: MAX kernel_size: 2", (1, 1, 4, 4)).caffe_layers[1]).__name__ == "Pooling"


def test_the_first_maximum_gets_the_gradient_and_nan_never_wins() -> None:
    x = torch.tensor([[[1.0, 1.0, float("nan"), 0.5]]], requires_grad=True)
    y = net("pool: MAX kernel_size: 4", (1, 1, 4))(x=x)["y"]
    y.sum().backward()
    assert y.item() == 1
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]
