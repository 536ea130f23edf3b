"""Every op on a GPU: the CPU's bits, the same bits on every run, and gradients that finite differences confirm."""

from __future__ import annotations

import every_op
import gpu_checks
import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("kind", every_op.KINDS)
@pytest.mark.parametrize("check", ["bits", "repeat"])
def test_every_op(check: str, kind: str) -> None:
    assert not gpu_checks.CHECKS[check](gpu_checks.Where("cuda"), [kind])["failed"]


def test_gradients() -> None:
    assert not gpu_checks.gradcheck(gpu_checks.Where("cuda"), [])["failed"]


def test_every_op_with_a_cuda_kernel_is_called() -> None:
    from repro.ops._rehearsal import cuda_ops

    assert {call.op for call in every_op.calls("random")} == set(cuda_ops())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_current_stream_is_the_one_that_is_launched_on(dtype: torch.dtype) -> None:
    """A kernel on another stream would read what has not been written yet."""
    from repro import ops

    stream = torch.cuda.Stream()
    x = torch.zeros(8, 64, 224, 224, dtype=dtype, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        x.fill_(3)
        y, _ = ops.max_pool_switches(x, 2, 2)
    stream.synchronize()
    assert torch.equal(y, torch.full_like(y, 3))
