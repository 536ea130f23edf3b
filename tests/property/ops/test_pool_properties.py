"""What holds for pooling and unpooling whatever the plane, window and values."""

from __future__ import annotations

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from repro import ops
from repro.errors import InputError


@st.composite
def pooled(draw: st.DrawFn) -> tuple[torch.Tensor, tuple]:
    """A tensor with many ties, and a window that fits it."""
    plane = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    pad = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    try:
        ops.max_pool_switches(torch.zeros(1, 1, *plane), kernel, stride, pad)
    except InputError:
        assume(False)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randint(-2, 3, (2, 3, *plane), generator=generator).float()
    layout = draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    return x.to(memory_format=layout), (kernel, stride, pad)


@settings(max_examples=60, deadline=None)
@given(pooled())
def test_masks_and_switches_are_two_forms_of_one_thing(case: tuple[torch.Tensor, tuple]) -> None:
    x, args = case
    plane = x.shape[2:]
    y, switches = ops.max_pool_switches(x, *args)
    mask = ops.switches_to_mask(switches, plane, *args)
    assert torch.equal(ops.mask_to_switches(mask, plane, *args), switches)
    there = mask >= 0
    taken = x.reshape(*x.shape[:2], -1).gather(2, mask.long().clamp(min=0).flatten(2)).reshape(y.shape)
    assert torch.equal(taken[there], y[there])
    by_switch = ops.max_unpool_switches(y, switches, plane, *args)
    assert torch.equal(by_switch, ops.unpool_mask(y, mask, plane))


@settings(max_examples=60, deadline=None)
@given(pooled())
def test_scatter_and_gather_are_adjoint(case: tuple[torch.Tensor, tuple]) -> None:
    x, args = case
    _, switches = ops.max_pool_switches(x, *args)
    u = torch.randn(switches.shape, dtype=torch.float64)
    v = torch.randn(x.shape, dtype=torch.float64)
    scattered = torch.ops.repro.max_pool_switches_backward(u, switches, x.shape[2:], *args)
    gathered = torch.ops.repro.max_unpool_switches_backward(v, switches, *args)
    assert torch.allclose((scattered * v).sum(), (u * gathered).sum(), rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(pooled())
def test_unpooling_restores_the_maxima(case: tuple[torch.Tensor, tuple]) -> None:
    x, args = case
    positive = x - x.min() + 1
    y, switches = ops.max_pool_switches(positive, *args)
    back = ops.max_unpool_switches(y, switches, x.shape[2:], *args)
    held = back != 0
    assert torch.equal(back[held], positive[held])
    again, same = ops.max_pool_switches(back, *args)
    assert torch.equal(again, y)
    assert torch.equal(same, switches)


@settings(max_examples=60, deadline=None)
@given(pooled())
def test_layout_and_width_change_nothing(case: tuple[torch.Tensor, tuple]) -> None:
    x, args = case
    y, switches = ops.max_pool_switches(x, *args)
    for other in (x.contiguous(), x.to(memory_format=torch.channels_last), x.double(), x.half(), x.bfloat16()):
        same_y, same_switches = ops.max_pool_switches(other, *args)
        assert torch.equal(same_switches, switches)
        there = switches.long() != 255
        assert torch.equal(same_y[there].float(), y[there])


@settings(max_examples=60, deadline=None)
@given(pooled(), st.integers(0, 2**31), st.booleans(), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_one_pass_has_the_bits_of_the_separate_ops(
    case: tuple[torch.Tensor, tuple], seed: int, relu: bool, dtype: torch.dtype
) -> None:
    x, args = case
    generator = torch.Generator().manual_seed(seed)
    x = (x * torch.randn(x.shape, generator=generator)).to(dtype)
    scale, shift = (torch.randn(3, generator=generator).to(dtype) for _ in range(2))
    separate = x * scale[:, None, None] + shift[:, None, None]
    wanted = ops.max_pool_switches(separate.relu() if relu else separate, *args)
    for ours, other in zip(ops.scale_shift_relu_pool(x, scale, shift, *args, relu=relu), wanted, strict=True):
        assert torch.equal(ours, other)
