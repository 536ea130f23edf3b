"""What torch asks of every pooling op: a new one gets a line in `pool_cases.py`, or the first test here fails.

Schema and fake kernel, vmap, torch.func, forward mode, gradients of gradients, compile, export, autocast, determinism,
empty tensors, sizes past 2**31.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pool_cases import CASES, LAYOUTS, REFUSAL, Case, cases, differentiable, every, first, floating, planes, raw, those
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.library import opcheck

from repro.errors import UnsupportedError

ROOT = Path(__file__).resolve().parents[2]


def test_no_op_is_forgotten() -> None:
    sources = ROOT / "csrc/pool/ops.h"
    if not sources.is_file():
        pytest.skip(f"the sources are not here ({sources}): these tests run beside an installed wheel")
    registered = re.findall(r'm\.impl\("(\w+)"', sources.read_text())
    assert len(registered) > 10
    assert set(registered) == {case.op for case in CASES}


@cases
@pytest.mark.parametrize(
    ("dtype", "layout"), [(torch.float32, LAYOUTS[0]), (torch.bfloat16, LAYOUTS[1])], ids=("nchw", "nhwc")
)
def test_opcheck(case: Case, dtype: torch.dtype, layout: torch.memory_format) -> None:
    tensors = case.of(dtype, layout)
    if not case.refuses:
        tensors = tuple(t.requires_grad_() if t.is_floating_point() else t for t in tensors)
    opcheck(getattr(raw, case.op).default, case.bare(*tensors))


@cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_both_layouts_hold_the_same_and_are_kept(case: Case, dtype: torch.dtype) -> None:
    plain, last = (every(case.face(*case.of(dtype, layout))) for layout in LAYOUTS)
    for a, b in zip(plain, last, strict=True):
        assert torch.equal(a, b)
        assert a.is_contiguous()
        assert b.is_contiguous(memory_format=LAYOUTS[case.keeps_layout])


@cases
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_vmap_is_the_loop(case: Case, batch: int) -> None:
    sets = [case.tensors(seed) for seed in range(max(batch, 1))]
    for place in range(-1, len(sets[0])):  # which tensor is not mapped, but the same for all
        if place >= 0 and len(sets[0]) == 1:
            continue
        dims = tuple(None if k == place else (k + 1) % (t.dim() + 1) for k, t in enumerate(sets[0]))
        each = [tuple(sets[0][k] if k == place else t for k, t in enumerate(one)) for one in sets]
        stacked = tuple(
            group[0] if d is None else torch.stack(group, d)[(slice(None),) * d + (slice(batch),)]
            for group, d in zip(zip(*each, strict=True), dims, strict=True)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns where it loops for want of a rule
            mapped = every(torch.func.vmap(case.face, in_dims=dims)(*stacked))
        looped = [every(case.face(*one)) for one in each]
        for k, result in enumerate(mapped):
            assert result.shape == (batch, *looped[0][k].shape)
            assert torch.equal(result, torch.stack([one[k] for one in looped])[:batch])


@differentiable
def test_func_is_autograd(case: Case) -> None:
    values, f = case.values(case.tensors(0))
    leaves = [v.clone().requires_grad_() for v in values]
    y = f(*leaves)
    u = planes(*y.shape, seed=5)
    plain = torch.autograd.grad(y, leaves, u)
    out, pull = torch.func.vjp(f, *values)
    assert torch.equal(out, y)
    for ours, wanted in zip(pull(u), plain, strict=True):
        assert torch.equal(ours, wanted)
    every_argument = tuple(range(len(values)))
    total = torch.func.grad(lambda *t: (f(*t) * u).sum(), argnums=every_argument)(*values)
    for ours, wanted in zip(total, plain, strict=True):
        assert torch.equal(ours, wanted)


@floating
def test_forward_mode_is_adjoint_to_reverse_mode(case: Case) -> None:
    values, f = case.values(case.tensors(0))
    moves = tuple(planes(*v.shape, seed=3) for v in values)
    out, tangent = torch.func.jvp(f, values, moves)
    assert torch.equal(out, f(*values))
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(v, m) for v, m in zip(values, moves, strict=True)]
        assert torch.equal(forward_ad.unpack_dual(f(*duals)).tangent, tangent)
    if case.refuses == 1 or not case.is_derivative:
        assert torch.equal(tangent, f(*moves))  # linear
        return
    u = planes(*out.shape, seed=4)
    back = torch.func.vjp(f, *values)[1](u)
    backward = sum((b * m).sum() for b, m in zip(back, moves, strict=True))
    assert torch.allclose((tangent * u).sum(), backward, rtol=1e-12)


@differentiable
def test_transforms_nest(case: Case) -> None:
    values, f = case.values(case.tensors(0))
    x, rest = values[0], values[1:]
    stack = torch.stack([x, x.flip(1) + 0.01, -x])

    def gradient(t: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda v: f(v, *rest).square().sum())(t)

    looped = torch.stack([gradient(t) for t in stack])
    assert torch.allclose(torch.func.vmap(gradient)(stack), looped, rtol=1e-12)

    def batched(t: torch.Tensor) -> torch.Tensor:
        return torch.func.vmap(lambda v: f(v, *rest))(t).square().sum()

    assert torch.allclose(torch.func.grad(batched)(stack), looped, rtol=1e-12)
    small = x[:1, :1] if not rest and case.floating == len(case.tensors(0)) else None
    if small is not None and case.is_derivative:
        assert torch.allclose(torch.func.jacrev(f)(small), torch.func.jacfwd(f)(small), rtol=1e-12)


@those(lambda c: c.floating > 0 and c.refuses != 1 and c.is_derivative)
def test_gradients_are_derivatives(case: Case) -> None:
    values, f = case.values(case.tensors(0))
    leaves = tuple(v.clone().requires_grad_() for v in values)
    assert gradcheck(f, leaves, eps=1e-4, atol=1e-7, check_forward_ad=True, check_batched_grad=True)
    if not case.refuses:
        assert gradgradcheck(f, leaves, eps=1e-4, atol=1e-7, check_batched_grad=True)


@those(lambda c: c.refuses > 0)
def test_what_has_no_gradient_says_so(case: Case) -> None:
    (x,), f = case.values(case.tensors(0))
    y, plain, func = x.clone().requires_grad_(), f, f
    for _ in range(case.refuses - 1):
        plain = lambda t, f=plain: torch.autograd.grad(f(t).square().sum(), t, create_graph=True)[0]  # noqa: E731
        func = lambda t, f=func: torch.func.grad(lambda v: f(v).square().sum())(t)  # noqa: E731
    with pytest.raises(UnsupportedError, match=REFUSAL):
        torch.autograd.grad(plain(y).sum(), y)
    with pytest.raises(UnsupportedError, match=REFUSAL):
        torch.func.grad(lambda t: func(t).sum())(x)


@cases
@pytest.mark.parametrize("layout", LAYOUTS, ids=("nchw", "nhwc"))
def test_compile(case: Case, layout: torch.memory_format) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(case.face, fullgraph=True, backend="aot_eager")
    given = case.of(torch.float32, layout)
    for ours, eager in zip(every(compiled(*given)), every(case.face(*given)), strict=True):
        assert torch.equal(ours, eager)
        assert (ours.dtype, ours.stride()) == (eager.dtype, eager.stride())
    if case.floating and case.refuses != 1:
        leaves = [t.clone().requires_grad_() for t in given[: case.floating]]
        rest = given[case.floating :]
        ours, eager = (first(f(*leaves, *rest)) for f in (compiled, case.face))
        u = torch.ones_like(eager)
        for a, b in zip(torch.autograd.grad(ours, leaves, u), torch.autograd.grad(eager, leaves, u), strict=True):
            assert torch.equal(a, b)


@cases
def test_export(case: Case) -> None:
    class Face(torch.nn.Module):
        def forward(self, *tensors: torch.Tensor) -> Any:
            return case.face(*tensors)

    given = case.of(torch.float32)
    program = torch.export.export(Face(), given)
    assert f"repro.{case.op}.default" in str(program.graph)
    for ours, eager in zip(every(program.module()(*given)), every(case.face(*given)), strict=True):
        assert torch.equal(ours, eager)


@cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast_changes_nothing(case: Case, dtype: torch.dtype) -> None:
    given = case.of(dtype)
    outside = every(case.face(*given))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = every(case.face(*given))
    for a, b in zip(inside, outside, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


@cases
def test_deterministic_algorithms_need_no_exception(case: Case) -> None:
    given = case.of(torch.float32)
    torch.use_deterministic_algorithms(True)
    try:
        leaves = [t.clone().requires_grad_() for t in given[: case.floating]]
        runs = []
        for _ in range(3):
            y = every(case.face(*leaves, *given[case.floating :]))
            derived = torch.autograd.grad(y[0].sum(), leaves) if leaves and case.refuses != 1 else ()
            runs.append((*y, *derived))
    finally:
        torch.use_deterministic_algorithms(False)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@cases
def test_any_number_of_threads_gives_the_same_bits(case: Case) -> None:
    given = tuple(torch.cat([t] * 200) if t.dim() == 4 else t for t in case.of(torch.float32))
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(every(case.face(*given)))
    finally:
        torch.set_num_threads(before)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@cases
@pytest.mark.parametrize("dim", [0, 1])
def test_empty_tensors(case: Case, dim: int) -> None:
    given = [t.narrow(min(dim, t.dim() - 1), 0, 0) if t.dim() == 4 or dim == 1 else t for t in case.of(torch.float32)]
    leaves = [t.clone().requires_grad_() for t in given[: case.floating]]
    y = every(case.face(*leaves, *given[case.floating :]))
    assert all(t.numel() == 0 for t in y)
    if leaves and case.refuses != 1:
        y[0].sum().backward()
        assert [t.grad.shape for t in leaves] == [t.shape for t in leaves]


@cases
def test_sizes_past_32_bits(case: Case) -> None:
    """Only shapes: fake tensors hold nothing."""
    given = case.of(torch.float32)
    huge = [t.new_empty((2**30, *t.shape[1:]) if t.dim() == 4 else t.shape, device="meta") for t in given]
    small, large = every(case.face(*given)), every(case.face(*huge))
    for a, b in zip(small, large, strict=True):
        assert b.shape == (2**30, *a.shape[1:])
        assert b.dtype == a.dtype
        assert b.numel() > 2**31
