"""3x3 convolution by Winograd's filtering: against loops in float64, and the same bits however it is called."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.library import opcheck

from repro.errors import InputError
from repro.ops.reference_conv import convolution_3x3
from repro.ops.winograd import fingerprint, winograd_conv, winograd_pack

# of the largest sum of magnitudes; measured 4e-7 and less for up to 512 channels
BOUND = 1e-6


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wide_error(y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, pad: tuple[int, int]) -> float:
    """Largest error over the largest value of the convolution of the magnitudes."""
    truth = F.conv2d(x.double(), weight.double(), padding=pad)
    reach = F.conv2d(x.double().abs(), weight.double().abs(), padding=pad).max()
    return float((y - truth).abs().max() / reach)


@pytest.mark.parametrize("transposed", [False, True], ids=("forward", "transposed"))
@pytest.mark.parametrize(
    ("shape", "outputs", "pad"),
    [
        ((2, 3, 7, 6), 5, (1, 1)),
        ((1, 1, 3, 3), 1, (0, 0)),
        ((1, 2, 1, 1), 9, (1, 1)),
        ((1, 2, 1, 5), 8, (1, 2)),
        ((3, 2, 2, 1), 3, (2, 2)),
        ((1, 4, 5, 40), 33, (0, 1)),
        ((1, 1, 2, 3), 16, (2, 0)),
    ],
)
def test_agrees_with_loops(shape: tuple[int, ...], outputs: int, pad: tuple[int, int], transposed: bool) -> None:
    x = draw(*shape)
    channels = shape[1]
    weight = draw(channels, outputs, 3, 3, seed=1) if transposed else draw(outputs, channels, 3, 3, seed=1)
    given = (2 - pad[0], 2 - pad[1]) if transposed else pad
    if min(shape[2] + 2 * pad[0], shape[3] + 2 * pad[1]) < 3:
        pytest.skip("smaller than the kernel")
    y, unfit = winograd_conv(x, winograd_pack(weight, transposed), outputs, pad)
    truth = convolution_3x3(x.numpy(), weight.numpy(), given, transposed)
    assert not unfit
    assert y.shape == truth.shape
    np.testing.assert_allclose(y.numpy(), truth, rtol=0, atol=2e-6 * max(1.0, np.abs(truth).max()))


@pytest.mark.parametrize(
    ("shape", "outputs", "pad"),
    [
        ((1, 512, 14, 14), 64, (1, 1)),
        ((2, 64, 37, 51), 40, (1, 1)),
        ((1, 16, 9, 200), 16, (0, 3)),
        ((1, 3, 31, 20), 64, (100, 100)),
    ],
)
def test_error_at_full_width(shape: tuple[int, ...], outputs: int, pad: tuple[int, int]) -> None:
    x, weight = draw(*shape), draw(outputs, shape[1], 3, 3, seed=1)
    y, _ = winograd_conv(x, winograd_pack(weight), outputs, pad)
    assert wide_error(y, x, weight, pad) < BOUND


def test_bits_depend_on_neither_batch_nor_threads_nor_strides() -> None:
    x, weight = draw(5, 40, 23, 30), draw(24, 40, 3, 3, seed=1)
    packed = winograd_pack(weight)
    y, _ = winograd_conv(x, packed, 24, 1)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(winograd_conv(x, packed, 24, 1)[0], y)
            assert torch.equal(winograd_pack(weight), packed)
    finally:
        torch.set_num_threads(threads)
    for i in range(len(x)):
        assert torch.equal(winograd_conv(x[i : i + 1], packed, 24, 1)[0], y[i : i + 1])
    assert torch.equal(winograd_conv(x.contiguous(memory_format=torch.channels_last), packed, 24, 1)[0], y)
    wide = torch.zeros(5, 40, 23, 60)
    wide[..., ::2] = x
    assert torch.equal(winograd_conv(wide[..., ::2], packed, 24, 1)[0], y)


def test_what_follows_has_the_bits_of_steps_of_its_own() -> None:
    x, weight = draw(2, 20, 11, 13), draw(19, 20, 3, 3, seed=1)
    bias, scale, shift = (draw(19, seed=s) for s in (2, 3, 4))
    packed = winograd_pack(weight)
    plain, _ = winograd_conv(x, packed, 19, 1)
    steps = plain + bias[:, None, None]
    assert torch.equal(winograd_conv(x, packed, 19, 1, bias)[0], steps)
    steps = steps * scale[:, None, None] + shift[:, None, None]
    assert torch.equal(winograd_conv(x, packed, 19, 1, bias, scale, shift)[0], steps)
    found = winograd_conv(x, packed, 19, 1, bias, scale, shift, relu=True)[0]
    assert torch.equal(found, steps.relu())
    assert torch.equal(found.signbit(), steps.relu().signbit())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2.0**100, -3e38])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (2, 3, 16, 18), (1, 2, 8, 17)])
def test_unfit_values_are_reported(value: float, place: tuple[int, ...]) -> None:
    x, packed = draw(3, 4, 17, 19), winograd_pack(draw(16, 4, 3, 3, seed=1))
    assert not winograd_conv(x, packed, 16, 1)[1]
    x[place] = value
    assert winograd_conv(x, packed, 16, 1)[1]


def test_large_small_and_zero_values_are_fit() -> None:
    weight = draw(16, 4, 3, 3, seed=1)
    packed = winograd_pack(weight)
    for size in (0.0, 1e-40, 1e-30, 1e28):
        x = draw(1, 4, 9, 9) * size
        y, unfit = winograd_conv(x, packed, 16, 1)
        assert not unfit
        torch.testing.assert_close(y, F.conv2d(x, weight, padding=1), rtol=1e-4, atol=1e-5 * size + 1e-43)


def test_an_empty_batch() -> None:
    y, unfit = winograd_conv(torch.empty(0, 4, 9, 8), winograd_pack(draw(5, 4, 3, 3)), 5, 1)
    assert y.shape == (0, 5, 9, 8)
    assert not unfit


def test_wrong_arguments() -> None:
    packed = winograd_pack(draw(16, 4, 3, 3))
    x = draw(1, 4, 9, 9)
    with pytest.raises(InputError, match=r"expected float32 \(\., \., 3, 3\)"):
        winograd_pack(draw(16, 4, 5, 5))
    with pytest.raises(InputError, match="expected float32"):
        winograd_conv(x.double(), packed, 16, 1)
    with pytest.raises(InputError, match="smaller than the 3x3 kernel"):
        winograd_conv(x[:, :, :2], packed, 16, 0)
    with pytest.raises(InputError, match="for 4 channels in and 17 out"):
        winograd_conv(x, packed, 17, 1)
    with pytest.raises(InputError, match="pad is -1"):
        winograd_conv(x, packed, 16, -1)
    with pytest.raises(InputError, match="scale must be float32, one per output channel"):
        winograd_conv(x, packed, 16, 1, scale=draw(15))
    with pytest.raises(NotImplementedError, match="no gradient"):
        winograd_conv(x.requires_grad_(), packed, 16, 1)[0].sum().backward()


def test_opcheck() -> None:
    raw = torch.ops.repro
    weight = draw(9, 4, 3, 3)
    tests = ("test_schema", "test_faketensor")
    opcheck(raw.winograd_pack.default, (weight, False), test_utils=tests)
    opcheck(raw.winograd_pack.default, (weight, True), test_utils=tests)
    arguments = (draw(2, 4, 7, 6), winograd_pack(weight), 9, [1, 0], draw(9), None, None, True)
    opcheck(raw.winograd_conv.default, arguments, test_utils=tests)


def test_fingerprint_sees_any_byte_and_any_order() -> None:
    x = draw(70_001)
    mark = fingerprint(x)
    assert fingerprint(x.clone()) == mark
    for place in (0, 1, 16_384, 65_536, 70_000):
        y = x.clone()
        y.view(torch.uint8)[4 * place] ^= 1
        assert fingerprint(y) != mark, place
    y = x.clone()
    y[[3, 19]] = y[[19, 3]]
    assert fingerprint(y) != mark
    assert fingerprint(torch.zeros(5)) != fingerprint(torch.zeros(6))
    unaligned = torch.frombuffer(bytearray(1) + bytearray(x.numpy().tobytes()), dtype=torch.uint8)[1:]
    assert fingerprint(torch.from_numpy(unaligned.numpy().view(np.float32))) == mark


PROGRAM = """
import sys, torch
from repro.ops.winograd import winograd_conv, winograd_pack
x = torch.randn((2, 40, 21, 50), generator=torch.Generator().manual_seed(0))
weight = torch.randn((20, 40, 3, 3), generator=torch.Generator().manual_seed(1))
y, unfit = winograd_conv(x, winograd_pack(weight), 20, 1, relu=True)
assert not unfit
sys.stdout.buffer.write(y.numpy().tobytes())
"""


def test_instruction_sets_agree() -> None:
    """Those with fused multiply-add to the bit, the one without to rounding."""
    found = {}
    for name in ("default", "avx2", ""):
        environment = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
        environment |= {"ATEN_CPU_CAPABILITY": name} if name else {}
        output = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True)
        found[name] = np.frombuffer(output.stdout, np.float32)
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        np.testing.assert_array_equal(found["avx2"], found[""])
    assert np.abs(found["default"] - found[""]).max() < 2e-6 * np.abs(found[""]).max()
