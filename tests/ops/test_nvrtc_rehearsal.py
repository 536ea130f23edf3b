"""The CUDA ops without a GPU: all but the driver and the kernels' own loop, against the CPU ops, bit for bit.

The kernels' arguments are the bytes that a GPU would be given, and the launches are looked at. No GPU is used.
"""

from __future__ import annotations

import re

import every_op
import pytest
import torch

from repro.ops import _library
from repro.ops._rehearsal import NAMESPACE, Rehearsal, cuda_ops

pytestmark = pytest.mark.skipif(
    not _library.NVRTC_LIBRARY.is_file(), reason=f"{_library.NVRTC_LIBRARY} is not built on this system"
)


@pytest.fixture
def rehearsal() -> Rehearsal:
    return Rehearsal()


def test_every_op_has_the_bits_of_the_cpu_and_every_kernel_is_launched(rehearsal: Rehearsal) -> None:
    for kind in every_op.KINDS:
        for call in every_op.calls(kind):
            before = len(rehearsal.launches)
            found = every_op.run(call.op, call.arguments, namespace=NAMESPACE)
            wanted = every_op.run(call.op, call.arguments)
            for a, b in zip(found, wanted, strict=True):
                assert every_op.agree(a, b, call.exact), f"{kind}: {call.op}{every_op.described(call)}"
            if kind != "empty":
                assert len(rehearsal.launches) > before, f"{call.op} launched nothing"
    missed = {f.name for f in rehearsal.functors} - {launch.functor for launch in rehearsal.launches}
    # Planes of 2^31 elements, whose mask is int64, are too large for a test; few dimensions never need 128 bits.
    unreachable = re.compile(r"SwitchesToMask<.*, long>|__int128, [12]>|float, unsigned __int128, 3>")
    assert {name for name in missed if not unreachable.search(name)} == set()


def test_every_op_with_a_cuda_kernel_is_among_the_calls(rehearsal: Rehearsal) -> None:
    assert {call.op for call in every_op.calls("random")} == set(cuda_ops())


def test_a_launch_covers_its_elements_in_blocks_of_256_on_the_stream(rehearsal: Rehearsal) -> None:
    rehearsal.launches.clear()
    x = torch.randn(2, 3, 10, 9)
    mask = torch.zeros(2, 3, 10, 9, dtype=torch.int64)
    rehearsal.call("unpool_mask", x, mask, [40, 30])
    claim, take = rehearsal.launches
    assert claim == ("repro::pool::ClaimByMask<long>", 540, 3, 256, 0)
    assert take == ("repro::pool::TakeFromOwner<float>", 7200, 29, 256, 0)


def test_what_an_op_refuses_reaches_the_caller(rehearsal: Rehearsal) -> None:
    with pytest.raises(RuntimeError, match="max_pool_switches: x must have 4 dimensions"):
        rehearsal.call("max_pool_switches", torch.zeros(3), [2, 2], [2, 2], [0, 0], True)
    with pytest.raises(RuntimeError, match=r"unpool_mask: index 99 at .0, 0, 0, 1. lies outside the 2 x 2 plane"):
        rehearsal.call("unpool_mask", torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 99]]]]), [2, 2])
    features = torch.zeros(2, 9, 3)
    features[1, 5, 2] = torch.nan
    with pytest.raises(RuntimeError, match="lattice: the features of point 5 of image 1 are not finite"):
        rehearsal.call("lattice_build", features, True)


@pytest.mark.parametrize("status", [700, 98])
def test_what_the_driver_says_reaches_the_caller(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rehearsal, "_launch", lambda *arguments: status)
    failing = Rehearsal()
    with pytest.raises(RuntimeError, match=f"CUDA: cuLaunchKernel: status {status}"):
        failing.call("spread_unpool", torch.zeros(1, 1, 2, 2), [4, 4], [2, 2], [2, 2], True)


def test_a_kernel_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Rehearsal, functor: object, device: int) -> int:
        raise ValueError(f"no kernel of {functor} for device {device}")

    monkeypatch.setattr(Rehearsal, "_find", refuse)
    failing = Rehearsal()
    with pytest.raises(RuntimeError, match=r"CUDA: no kernel of .*PerElement.*Spread<float, true>.* device 0"):
        failing.call("spread_unpool", torch.zeros(1, 1, 2, 2), [4, 4], [2, 2], [2, 2], True)
