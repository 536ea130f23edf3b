"""Folding on a GPU gives the CPU's bits, on every run."""

from __future__ import annotations

import pytest
import torch
from aggregate_cases import DTYPES, FLAVOURS, FOLDS, LAYOUTS, SIZE, in_layout, random_boxes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("fold", FOLDS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cuda_gives_the_cpus_bits(fold, dtype: torch.dtype, flavour: str, layout: str) -> None:
    boxes = random_boxes(23, SIZE, seed=3)
    maps = torch.randn(23, 5, 16, 24).to(dtype)
    maps[3, 2, 4, 5] = torch.nan
    start = in_layout(torch.randn(5, *SIZE).to(dtype), layout)
    expected = fold(start.clone(memory_format=torch.preserve_format), maps, boxes, flavour).nan_to_num(7)
    for _ in range(10):
        canvas = start.cuda().clone(memory_format=torch.preserve_format)
        assert torch.equal(fold(canvas, maps.cuda(), boxes, flavour).cpu().nan_to_num(7), expected)
