"""Pooling and unpooling against the original's CPU code, forward and backward, bit for bit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from repro import ops

DATA = Path(__file__).resolve().parents[1] / "data" / "layers"
SECOND_FORWARD = {"unpool_ave_second_forward", "unpool_tile_second_forward"}
CASES = sorted(p.stem for prefix in ("maxpool", "unpool", "pool_unpool") for p in DATA.glob(f"{prefix}_*.npz"))


def parameters(case: str) -> list[dict[str, str]]:
    """The options of each layer of a one-line-per-layer prototxt."""
    text = (DATA / f"{case}.prototxt").read_text()
    bodies = re.findall(r"(?:un)?pooling_param \{ ([^}]*)\}", text)
    return [dict(re.findall(r"(\w+): (\w+)", body)) for body in bodies]


def pair(options: dict[str, str], name: str, default: int) -> tuple[int, int]:
    both = options.get({"kernel": "kernel_size", "unpool": "unpool_size"}.get(name, name), default)
    return int(options.get(f"{name}_h", both)), int(options.get(f"{name}_w", both))


def window(options: dict[str, str], plane: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    if options.get("global_pooling") == "true":
        return plane, (1, 1), (0, 0)
    return pair(options, "kernel", 0), pair(options, "stride", 1), pair(options, "pad", 0)


def unpool(options: dict[str, str], x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    kernel, stride, _ = window(options, (0, 0))
    output = pair(options, "unpool", 0)
    if options["unpool"] == "AVE":
        return ops.avg_unpool(x, output, kernel, stride)
    if options["unpool"] == "TILE":
        return ops.tile_unpool(x, output, kernel, stride)
    if mask is None:
        return ops.corner_unpool(x, output, kernel, stride)
    return ops.unpool_mask(x, mask, output)


def second_forward(options: dict[str, str], x: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """What the original's CPU code makes of a second pass: it never clears its output and adds window after window."""
    total = first.detach().clone()
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            alone = torch.zeros_like(x)
            alone[:, :, i, j] = x[:, :, i, j]
            total += unpool(options, alone, None)
    return total.detach()


def same_bits(ours: torch.Tensor, golden: np.ndarray) -> None:
    np.testing.assert_array_equal(ours.detach().numpy().view(np.int32), golden.view(np.int32))


def test_every_case_is_here() -> None:
    assert len(CASES) >= 35


@pytest.mark.parametrize("case", [c for c in CASES if c.startswith("maxpool")])
def test_max_pool(case: str) -> None:
    data = np.load(DATA / f"{case}.npz", allow_pickle=False)
    x = torch.from_numpy(data["in__data"]).requires_grad_()
    plane = (x.shape[2], x.shape[3])
    args = window(parameters(case)[0], plane)
    y, switches = ops.max_pool_switches(x, *args)
    same_bits(y, data["out__pool__0"])
    if "out__pool__1" in data:
        mask = ops.switches_to_mask(switches, plane, *args)
        same_bits(mask.float(), data["out__pool__1"])
        assert torch.equal(ops.mask_to_switches(torch.from_numpy(data["out__pool__1"]), plane, *args), switches)
    if "bdiff__pool__0" in data:
        y.backward(torch.from_numpy(data["topdiff__pool"]))
        same_bits(x.grad, data["bdiff__pool__0"])


@pytest.mark.parametrize("case", [c for c in CASES if c.startswith("unpool")])
def test_unpool(case: str) -> None:
    data = np.load(DATA / f"{case}.npz", allow_pickle=False)
    x = torch.from_numpy(data["in__data"]).requires_grad_()
    mask = torch.from_numpy(data["in__mask"]) if "in__mask" in data else None
    y = unpool(parameters(case)[0], x, mask)
    same_bits(second_forward(parameters(case)[0], x, y) if case in SECOND_FORWARD else y, data["out__unpool__0"])
    if "bdiff__unpool__0" in data:
        y.backward(torch.from_numpy(data["topdiff__unpool"]))
        same_bits(x.grad, data["bdiff__unpool__0"])


@pytest.mark.parametrize("by_mask", [False, True])
@pytest.mark.parametrize("case", [c for c in CASES if c.startswith("pool_unpool")])
def test_pool_then_unpool(case: str, by_mask: bool) -> None:
    data = np.load(DATA / f"{case}.npz", allow_pickle=False)
    x = torch.from_numpy(data["in__data"]).requires_grad_()
    plane = (x.shape[2], x.shape[3])
    pooling, unpooling = parameters(case)
    args = window(pooling, plane)
    y, switches = ops.max_pool_switches(x, *args)
    y.retain_grad()
    if by_mask:
        z = unpool(unpooling, y, ops.switches_to_mask(switches, plane, *args))
    else:
        z = ops.max_unpool_switches(y, switches, pair(unpooling, "unpool", 0), *args)
    same_bits(y, data["out__pool__0"])
    same_bits(z, data["out__unpool__0"])
    z.backward(torch.from_numpy(data["topdiff__unpool"]))
    same_bits(y.grad, data["bdiff__unpool__0"])
    same_bits(x.grad, data["bdiff__pool__0"])
