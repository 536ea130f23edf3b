"""Scale, shift, ReLU and pooling in one pass have the bits of the ops one after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro import ops
from repro.errors import InputError
from repro.ops import reference

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LAYOUTS = (torch.contiguous_format, torch.channels_last)
# (plane, kernel, stride, pad); the first three are done many windows at a time
WINDOWS = (
    ((6, 8), 2, 2, 0),
    ((7, 9), 2, 2, 0),
    ((4, 42), 2, 2, 0),
    ((7, 6), 3, 2, 0),
    ((9, 6), (3, 2), (2, 3), (1, 0)),
    ((6, 5), 3, 1, 2),
    ((1, 1), 3, 2, 1),
    ((18, 18), (17, 16), (1, 2), (3, 0)),  # int16 switches
)


def one_after_another(
    x: torch.Tensor, scale: torch.Tensor | None, shift: torch.Tensor | None, *window: object, relu: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    if scale is not None:
        x = x * scale[:, None, None]
    if shift is not None:
        x = x + shift[:, None, None]
    return ops.max_pool_switches(torch.relu(x) if relu else x, *window)


def bits(t: torch.Tensor) -> torch.Tensor:
    return t.contiguous().view(torch.uint8)


def same_bits(ours: tuple[torch.Tensor, torch.Tensor], wanted: tuple[torch.Tensor, torch.Tensor]) -> None:
    for a, b in zip(ours, wanted, strict=True):
        assert (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())
        assert torch.equal(bits(a), bits(b))


def odd(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Ties, NaN, infinities, zeros of both signs, subnormals and values whose product overflows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, shape, generator=generator) / 3
    info = torch.finfo(dtype)
    rare = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 0.0, info.max, info.min, info.tiny / 2], dtype=dtype)
    pick = torch.randint(0, 60, shape, generator=generator)
    return torch.where(pick < len(rare), rare[pick.clamp(max=len(rare) - 1)], x.to(dtype))


@pytest.mark.parametrize("layout", LAYOUTS, ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("relu", [True, False], ids=("relu", "linear"))
def test_the_bits_of_the_separate_ops(
    window: tuple, dtype: torch.dtype, layout: torch.memory_format, relu: bool
) -> None:
    plane, *args = window
    for seed, channels in enumerate((1, 3, 19)):
        generator = torch.Generator().manual_seed(seed)
        scale, shift = (torch.randn(channels, generator=generator).to(dtype) for _ in range(2))
        scale[-1], shift[0] = -0.0, -0.0
        shape = (2, channels, *plane)
        for drawn in (odd(shape, dtype, seed), torch.randn(shape, generator=generator).to(dtype)):
            x = drawn.to(memory_format=layout)
            for by, plus in ((scale, shift), (None, shift), (scale, None), (None, None)):
                ours = ops.scale_shift_relu_pool(x, by, plus, *args, relu=relu)
                same_bits(ours, one_after_another(x, by, plus, *args, relu=relu))


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
@pytest.mark.parametrize("window", WINDOWS[1:6], ids=str)
def test_against_the_loops(window: tuple, dtype: torch.dtype) -> None:
    plane, *args = window
    x, pairs = odd((2, 3, *plane), dtype, 7), [ops._arguments.pair("", "", a, 0) for a in args]
    scale, shift = (torch.tensor(v, dtype=dtype) for v in ([1.5, -2.25, 0.1], [0.3, -1.0, 2.0]))
    y, switches = ops.scale_shift_relu_pool(x, scale, shift, *args)
    wanted, where = reference.scale_shift_relu_pool(x.numpy(), scale.numpy(), shift.numpy(), *pairs)
    np.testing.assert_array_equal(y.numpy(), wanted)
    np.testing.assert_array_equal(torch.where(switches == 255, -1, switches.long()).numpy(), where)


def test_strided_inputs_are_as_their_copies() -> None:
    x = torch.randn(2, 9, 8, 6).permute(0, 3, 2, 1)[:, :, 1:]
    scale, shift = torch.randn(12)[::2], torch.randn(6).flip(0)
    copies = ops.scale_shift_relu_pool(x.contiguous(), scale.contiguous(), shift, 3, 2, 1)
    same_bits(ops.scale_shift_relu_pool(x, scale, shift, 3, 2, 1), copies)
    shifted = torch.randn(2 * 3 * 6 * 6 + 1)[1:].view(2, 3, 6, 6)  # not aligned to a vector
    same_bits(
        ops.scale_shift_relu_pool(shifted, scale[:3], shift[:3], 2, 2),
        one_after_another(shifted, scale[:3], shift[:3], 2, 2),
    )


def test_round_mode() -> None:
    x = torch.randn(1, 2, 7, 7)
    for mode, size in (("ceil", 4), ("floor", 3)):
        assert ops.scale_shift_relu_pool(x, None, None, 2, 2, 0, mode)[0].shape == (1, 2, size, size)


def test_the_gradient_has_the_bits_of_the_separate_ops() -> None:
    x, scale, shift = torch.randn(2, 5, 9, 8), torch.randn(5), torch.randn(5)
    grads = []
    for way in (ops.scale_shift_relu_pool, one_after_another):
        leaf = x.clone().requires_grad_()
        y, _ = way(leaf, scale, shift, 3, 2, 1)
        grads.append(torch.autograd.grad(y, leaf, torch.linspace(-1, 1, y.numel()).view_as(y))[0])
    assert torch.equal(*grads)


@pytest.mark.parametrize(
    ("message", "scale", "shift"),
    [
        (r"scale is \(2,\); expected one number for each of the 3 channels", torch.ones(2), None),
        (r"shift is \(1, 3, 1, 1\); expected", None, torch.ones(1, 3, 1, 1)),
        ("scale is float; expected", 2.0, None),
        ("shift is torch.float64 on cpu and x torch.float32 on cpu; expected one dtype", None, torch.ones(3).double()),
    ],
)
def test_what_is_refused(message: str, scale: object, shift: object) -> None:
    with pytest.raises(InputError, match=f"^scale_shift_relu_pool: {message}"):
        ops.scale_shift_relu_pool(torch.zeros(1, 3, 4, 4), scale, shift, 2, 2)


def test_the_bare_op_raises() -> None:
    bare, x = torch.ops.repro.scale_shift_relu_pool, torch.zeros(1, 3, 4, 4)
    for scale in (torch.ones(2), torch.ones(3, 1), torch.ones(3).double()):
        with pytest.raises(RuntimeError, match="scale_shift_relu_pool: scale"):
            bare(x, scale, None, [2, 2], [2, 2], [0, 0], True, True)
