"""CUDA graphs of mean-field inference: recorded once per size, replayed for every later image of that size.

A recording has fixed addresses and sizes, and a lattice has as many vertices as its image's colours need. So a
recording owns its tensors, with room for some more vertices than it was made for; those hold no point and have no
neighbour, which changes no bit.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from repro.ops.meanfield import meanfield_infer

Replay = Callable[[], Tensor]
ARRAYS = 6  # of a lattice, as LatticeArrays.tensors gives them
_ROW_START, _NEIGHBOURS = 2, 5


def record_on_cuda(run: Callable[[], Tensor]) -> Replay:
    """Capture `run`, which must neither wait for the device nor depend on its results, in a CUDA graph.

    RuntimeError where it cannot be captured.
    """
    # Once outside: the first launch of a kernel loads it, and a capture forbids that.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay


def room_for(vertices: int) -> int:
    """How many vertices a recording has room for: at most an eighth more, so that like images share one."""
    step = max(1024, 1 << max(vertices.bit_length() - 4, 0))
    return -(-vertices // step) * step


class InferenceGraphs:
    """meanfield_infer by recordings, the least recently used of more than `limit` sizes forgotten.

    A size is the shape, dtype and device of everything, the room of each lattice, the relaxation and the number of
    iterations. A recording holds as much memory as an inference. On the CPU, and where the recorder fails
    (RuntimeError), the op is called as it is; in the second case `refusal` keeps the reason and a warning says it once.
    Not for several threads at a time.
    """

    def __init__(self, limit: int = 4, record: Callable[[Callable[[], Tensor]], Replay] | None = None) -> None:
        self.limit = limit
        self.refusal: str | None = None
        self._record = record
        self._kept: OrderedDict[tuple[Any, ...], _Recording] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        # Recordings belong to a process and a device; a copy makes its own.
        return InferenceGraphs, (self.limit, self._record)

    def __len__(self) -> int:
        return len(self._kept)

    def infer(
        self,
        unary: Tensor,
        lattices: Sequence[Tensor],
        scales: Sequence[Tensor],
        compatibilities: Sequence[Tensor],
        relaxation: float,
        iterations: int,
    ) -> Tensor:
        """As meanfield_infer, with its bits."""
        given = (unary, lattices, scales, compatibilities, relaxation, iterations)
        if self.refusal is not None or not (unary.is_cuda or self._record):
            return meanfield_infer(*given)
        key = (unary.device, relaxation, iterations, *_sizes(unary, lattices, scales, compatibilities))
        recording = self._kept.pop(key, None)
        with torch.cuda.device(unary.device) if unary.is_cuda else contextlib.nullcontext():
            if recording is None:
                try:
                    recording = _Recording(self._record or record_on_cuda, *given)
                except RuntimeError as error:
                    self.refusal = str(error)
                    warnings.warn(f"dense CRF: no CUDA graph, inference goes on without: {error}", stacklevel=2)
                    return meanfield_infer(*given)
            self._kept[key] = recording
            while len(self._kept) > self.limit:
                self._kept.popitem(last=False)
            return recording.infer(unary, lattices, scales, compatibilities)


class _Recording:
    def __init__(
        self,
        record: Callable[[Callable[[], Tensor]], Replay],
        unary: Tensor,
        lattices: Sequence[Tensor],
        scales: Sequence[Tensor],
        compatibilities: Sequence[Tensor],
        relaxation: float,
        iterations: int,
    ) -> None:
        self.unary = torch.empty_like(unary)
        self.lattices = [_with_room(array, index % ARRAYS) for index, array in enumerate(lattices)]
        self.scales = [torch.empty_like(s) for s in scales]
        self.compatibilities = [torch.empty_like(c) for c in compatibilities]
        self._load(unary, lattices, scales, compatibilities)

        def run() -> Tensor:
            return meanfield_infer(self.unary, self.lattices, self.scales, self.compatibilities, relaxation, iterations)

        self._replay = record(run)

    def infer(self, *given: Any) -> Tensor:
        self._load(*given)
        return self._replay().clone()

    @torch.no_grad()
    def _load(
        self, unary: Tensor, lattices: Sequence[Tensor], scales: Sequence[Tensor], compatibilities: Sequence[Tensor]
    ) -> None:
        self.unary.copy_(unary)
        for own, other in zip((*self.scales, *self.compatibilities), (*scales, *compatibilities), strict=True):
            own.copy_(other)
        for index, (own, other) in enumerate(zip(self.lattices, lattices, strict=True)):
            kind = index % ARRAYS
            if kind == _ROW_START:
                own[: len(other)] = other
                own[len(other) :] = other[-1]
            elif kind == _NEIGHBOURS:
                own[:, : other.shape[1]] = other
                own[:, other.shape[1] :] = -1
            else:
                own.copy_(other)


def _with_room(array: Tensor, kind: int) -> Tensor:
    if kind == _ROW_START:
        return array.new_empty(room_for(len(array) - 1) + 1)
    if kind == _NEIGHBOURS:
        return array.new_empty(array.shape[0], room_for(array.shape[1]), 2)
    return torch.empty_like(array)


def _sizes(unary: Tensor, lattices: Sequence[Tensor], *rest: Sequence[Tensor]) -> tuple[Any, ...]:
    rooms = (room_for(array.shape[1]) for array in lattices[_NEIGHBOURS::ARRAYS])
    points = (tuple(array.shape) for array in lattices[::ARRAYS])
    return (unary.dtype, tuple(unary.shape), *rooms, *points, *(tuple(t.shape) for group in rest for t in group))
