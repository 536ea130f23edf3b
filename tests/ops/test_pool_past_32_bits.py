"""One real tensor of more than 2**31 elements through pooling and unpooling: 64-bit indices where it matters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from repro import ops

SHAPE = (2, 3, 18944, 18944)  # 2,153,250,816 elements, 4.3 GB in bfloat16
NEEDED = 16 << 30  # bytes: the planes, what they are compared with, the pooled values


def free_memory() -> int:
    """Bytes; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


@pytest.mark.slow
@pytest.mark.skipif(free_memory() < NEEDED, reason=f"needs {NEEDED >> 30} GiB of free memory")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=("nchw", "nhwc"))
def test_there_and_back(layout: torch.memory_format) -> None:
    x = torch.zeros(SHAPE, dtype=torch.bfloat16).to(memory_format=layout)
    assert x.numel() > 2**31
    # one value in each corner of the first and the last window of the first and the last plane
    marked = [(n, c, h, w) for n, c in ((0, 0), (1, 2)) for h in (1, 18943) for w in (1, 18942)]
    for k, at in enumerate(marked):
        x[at] = k + 1
    y, switches = ops.max_pool_switches(x, 2, 2)
    assert y.sum(dtype=torch.float64) == 36
    for k, (n, c, h, w) in enumerate(marked):
        assert y[n, c, h // 2, w // 2] == k + 1
        assert switches[n, c, h // 2, w // 2] == h % 2 * 2 + w % 2
    del x
    back = ops.max_unpool_switches(y, switches, SHAPE[2:], 2, 2)
    assert back.sum(dtype=torch.float64) == 36
    assert [back[at].item() for at in marked] == list(range(1, 9))
    mask = ops.switches_to_mask(switches[1:, 2:], SHAPE[2:], 2, 2)
    assert mask[0, 0, -1, -1] == 18943 * 18944 + 18942
    last = ops.unpool_mask(y[1:, 2:], mask, SHAPE[2:])
    assert torch.equal(last, back[1:, 2:])
