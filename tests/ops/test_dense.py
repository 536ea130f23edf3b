"""Fully connected layers: against float64, and the same bits however they are called."""

from __future__ import annotations

import pytest
import torch
from torch.library import opcheck

from repro.errors import InputError
from repro.ops.dense import dense


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("transposed", [False, True], ids=("rows", "columns"))
@pytest.mark.parametrize("batch", [0, 1, 2, 3, 5, 8, 9, 17])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (16, 48), (70, 131), (37, 7), (300, 64)])
def test_agrees_with_float64(batch: int, inputs: int, outputs: int, transposed: bool) -> None:
    x, weight = draw(batch, inputs), draw(*((inputs, outputs) if transposed else (outputs, inputs)), seed=1)
    truth = x.double() @ (weight if transposed else weight.T).double()
    y = dense(x, weight, transposed)
    assert y.is_contiguous()
    torch.testing.assert_close(y.double(), truth, rtol=0, atol=1e-6 * inputs**0.5 * 3)


@pytest.mark.parametrize("transposed", [False, True], ids=("rows", "columns"))
def test_bits_depend_on_neither_batch_nor_threads_nor_strides(transposed: bool) -> None:
    x, weight = draw(13, 333), draw(*((333, 1000) if transposed else (1000, 333)), seed=1)
    y = dense(x, weight, transposed)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(dense(x, weight, transposed), y)
    finally:
        torch.set_num_threads(threads)
    for n in range(len(x)):
        assert torch.equal(dense(x[n : n + 1], weight, transposed), y[n : n + 1])
    assert torch.equal(dense(x.T.contiguous().T, weight.T.contiguous().T, transposed), y)


def test_nan_and_infinity_stay_in_their_row() -> None:
    x, weight = draw(3, 40), draw(20, 40, seed=1)
    x[1, 5], x[2, 7] = float("nan"), float("inf")
    for y in (dense(x, weight), dense(x, weight.T.contiguous(), True)):
        assert y[0].isfinite().all()
        assert y[1].isnan().all()
        assert y[2].isinf().all()


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="expected float32"):
        dense(draw(2, 3).double(), draw(4, 3))
    with pytest.raises(InputError, match="for 5"):
        dense(draw(2, 3), draw(4, 5))
    with pytest.raises(NotImplementedError, match="no gradient"):
        dense(draw(2, 3).requires_grad_(), draw(4, 3)).sum().backward()


def test_opcheck() -> None:
    for transposed in (False, True):
        arguments = (draw(3, 5), draw(5, 5), transposed)
        opcheck(torch.ops.repro.dense.default, arguments, test_utils=("test_schema", "test_faketensor"))
