"""Bad arguments: ours says what is wrong, and the bare ops raise rather than touch memory that is not theirs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from repro import ops
from repro.errors import InputError

raw = torch.ops.repro
X = torch.zeros(1, 2, 4, 4)
Y = torch.zeros(1, 2, 2, 2)
S = torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
M = torch.zeros(1, 2, 2, 2, dtype=torch.int32)

FACES: list[tuple[str, Callable[[], object]]] = [
    (r"x has shape \(4, 4\); expected \(N, C, H, W\)", lambda: ops.max_pool_switches(X[0, 0], 2, 2)),
    ("x is a ndarray; expected a torch.Tensor", lambda: ops.max_pool_switches(np.zeros((1, 1, 4, 4)), 2, 2)),
    ("x is torch.int64; expected float32", lambda: ops.max_pool_switches(X.long(), 2, 2)),
    ("x is torch.complex64", lambda: ops.max_pool_switches(X.to(torch.complex64), 2, 2)),
    ("kernel is -1; expected 1 or more", lambda: ops.max_pool_switches(X, -1, 2)),
    ("kernel is 0", lambda: ops.max_pool_switches(X, 0, 2)),
    ("kernel is 2.5; expected an integer", lambda: ops.max_pool_switches(X, 2.5, 2)),
    ("kernel is True", lambda: ops.max_pool_switches(X, True, 2)),
    (r"kernel is \(2, 2, 2\); expected an integer or two", lambda: ops.max_pool_switches(X, (2, 2, 2), 2)),
    ("kernel is '22'", lambda: ops.max_pool_switches(X, "22", 2)),
    (r"stride is \(1, 0\)", lambda: ops.max_pool_switches(X, 2, (1, 0))),
    ("pad is -1; expected 0 or more", lambda: ops.max_pool_switches(X, 2, 2, -1)),
    (r"pad \(2, 2\) must be smaller than the kernel", lambda: ops.max_pool_switches(X, 2, 2, 2)),
    ("more than the 32767 positions", lambda: ops.max_pool_switches(X, (200, 200), 2)),
    ("above 2147483647", lambda: ops.max_pool_switches(X, 2, 2**40)),
    ("does not fit a plane of 4", lambda: ops.max_pool_switches(X, 9, 1)),
    ("round_mode is 'up'", lambda: ops.max_pool_switches(X, 2, 2, 0, "up")),
    ("size -1", lambda: ops.pool_output_size(-1, 2, 2, 0)),
    ("does not fit", lambda: ops.pool_output_size(2, 9, 1, 0)),
    ("switches are torch.int64; those of a 2x2", lambda: ops.max_unpool_switches(Y, S.long(), 4, 2, 2)),
    ("switches are torch.uint8; those of a 16x16", lambda: ops.max_unpool_switches(Y, S, 32, 16, 16)),
    ("expected one shape", lambda: ops.max_unpool_switches(Y, S[:, :1], 4, 2, 2)),
    ("output_size is -4", lambda: ops.max_unpool_switches(Y, S, -4, 2, 2)),
    ("switch 4 at .0, 0, 0, 0. points to nothing", lambda: ops.max_unpool_switches(Y, S + 4, 4, 2, 2)),
    ("switch 3 at .0, 0, 0, 1. points to nothing", lambda: ops.max_unpool_switches(Y, S + 3, (4, 3), 2, 2)),
    ("switch 0 at .0, 0, 0, 0. points to nothing", lambda: ops.max_unpool_switches(Y, S, 4, 2, 2, 1)),
    ("mask is torch.float16", lambda: ops.unpool_mask(Y, M.half(), 4)),
    ("mask is torch.bool", lambda: ops.unpool_mask(Y, M.bool(), 4)),
    ("expected one shape", lambda: ops.unpool_mask(Y, M[:, :, :1], 4)),
    (r"index 16 at .0, 0, 0, 0. lies outside the 4 x 4 plane \(0 to 15", lambda: ops.unpool_mask(Y, M + 16, 4)),
    ("index -2 at", lambda: ops.unpool_mask(Y, M - 2, 4)),
    ("index -?nan at", lambda: ops.unpool_mask(Y, M / 0, 4)),
    ("index inf at", lambda: ops.unpool_mask(Y, (M + 1) / 0, 4)),
    ("index 1e.30 at", lambda: ops.unpool_mask(Y, M + 1e30, 4)),
    ("index -9223372036854775808 at", lambda: ops.unpool_mask(Y, M.long() - 2**63, 4)),
    ("index 0 at .0, 0, 0, 0. lies outside the 0 x 4", lambda: ops.unpool_mask(Y, M, (0, 4))),
    ("index 0 at .0, 0, 0, 1. is not inside its 2 x 2 window", lambda: ops.mask_to_switches(M, 4, 2, 2)),
    ("index 99 at", lambda: ops.mask_to_switches(M + 99, 4, 2, 2)),
    ("index -?nan at", lambda: ops.mask_to_switches(M / 0, 4, 2, 2)),
    ("mask is torch.uint8", lambda: ops.mask_to_switches(S, 4, 2, 2)),
    ("switches are torch.int32", lambda: ops.switches_to_mask(M, 4, 2, 2)),
    ("x is torch.int32", lambda: ops.avg_unpool(M, 4, 2, 2)),
    ("output_size is 0; expected 1 or more", lambda: ops.corner_unpool(Y, 0, 2, 2)),
    ("stride is 0", lambda: ops.tile_unpool(Y, 4, 2, 0)),
]

BARE: list[Callable[[], object]] = [
    lambda: raw.max_pool_switches(X[0], [2, 2], [2, 2], [0, 0], True),
    lambda: raw.max_pool_switches(X.long(), [2, 2], [2, 2], [0, 0], True),
    lambda: raw.max_pool_switches(X, [2], [2, 2], [0, 0], True),
    lambda: raw.max_pool_switches(X, [2, 2], [2, 2], [0, 0, 0], True),
    lambda: raw.max_pool_switches(X, [2, 2], [0, 0], [0, 0], True),
    lambda: raw.max_pool_switches(X, [-2, -2], [1, 1], [0, 0], True),
    lambda: raw.max_pool_switches(X, [2, 2], [1, 1], [7, 7], True),
    lambda: raw.max_pool_switches(X, [2**62, 2**62], [1, 1], [2**61, 0], True),
    lambda: raw.max_pool_switches(X, [1, 1], [2**62, 2**62], [0, 0], True),
    lambda: raw.max_pool_switches(X, [9, 9], [1, 1], [0, 0], False),
    lambda: raw.max_pool_switches_backward(Y, S[:, :1], [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_pool_switches_backward(Y, M, [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_pool_switches_backward(Y, S, [-4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_pool_switches_backward(Y, S, [4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_pool_switches_backward(Y, S, [2**40, 2**40], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_unpool_switches(Y, S[0], [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_unpool_switches(Y, S + 77, [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_unpool_switches(Y, S.float(), [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_unpool_switches_backward(X[:, :1], S, [2, 2], [2, 2], [0, 0]),
    lambda: raw.max_unpool_switches_backward(X[0], S, [2, 2], [2, 2], [0, 0]),
    lambda: raw.switches_to_mask(S[0, 0], [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.switches_to_mask(S, [], [2, 2], [2, 2], [0, 0]),
    lambda: raw.mask_to_switches(X.bool(), [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.mask_to_switches(M - 5, [4, 4], [2, 2], [2, 2], [0, 0]),
    lambda: raw.unpool_mask(Y, M[:, :1], [4, 4]),
    lambda: raw.unpool_mask(Y, S, [4, 4]),
    lambda: raw.unpool_mask(Y, M + 2**30, [4, 4]),
    lambda: raw.unpool_mask_backward(X[:, :1], M),
    lambda: raw.unpool_mask_backward(X[0, 0], M),
    lambda: raw.spread_unpool(Y[0], [4, 4], [2, 2], [2, 2], True),
    lambda: raw.spread_unpool(Y, [4, 4], [0, 2], [2, 2], True),
    lambda: raw.spread_unpool_backward(X, [-1, 2], [2, 2], [2, 2]),
]


@pytest.mark.parametrize(("message", "act"), FACES, ids=[str(k) for k in range(len(FACES))])
def test_the_faces_say_what_is_wrong(message: str, act: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=message):
        act()


@pytest.mark.parametrize("act", BARE, ids=[str(k) for k in range(len(BARE))])
def test_the_bare_ops_raise(act: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError):
        act()


def test_bare_gathers_ignore_what_points_nowhere() -> None:
    wild = torch.full_like(S, 200)
    assert not raw.max_unpool_switches_backward(X + 1, wild, [2, 2], [2, 2], [0, 0]).any()
    assert not raw.max_pool_switches_backward(Y + 1, wild, [4, 4], [2, 2], [2, 2], [0, 0]).any()
    assert (raw.switches_to_mask(wild, [4, 4], [2, 2], [2, 2], [0, 0]) == -1).all()
    assert not raw.unpool_mask_backward(X + 1, M + 2**30).any()


def test_a_mask_of_nothing_but_empties_unpools_to_zero() -> None:
    assert not ops.unpool_mask(Y + 1, M - 1, 4).any()
    assert not ops.max_unpool_switches(Y + 1, torch.full_like(S, 255), 4, 2, 2).any()


def test_valid_extremes_are_not_refused() -> None:
    assert ops.max_pool_switches(torch.zeros(1, 1, 181, 181), 181, 1)[1].dtype == torch.int16
    assert ops.max_pool_switches(X, np.int64(2), (np.int32(2), 2))[0].shape == Y.shape
    assert ops.unpool_mask(Y, M + 15, 4)[0, 0, 3, 3] == 0
