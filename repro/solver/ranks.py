"""Several processes that train one net together, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from repro.errors import DeviceError, InputError, TrainingError
from repro.net import available_device

_CPU = torch.device("cpu")
# gradients are added up in pieces of this many bytes
_PIECE = 32 << 20


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is; alone, every method is free of cost.

    TrainingError, instead of waiting for ever, where another process has failed or does not answer.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = _CPU
    timeout: float = 600.0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all processes into every tensor; the same bits in each process."""
        if self.world == 1:
            return
        with self._answering():
            for piece in _pieces(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in piece])
                dist.all_reduce(flat)
                at = 0
                for tensor in piece:
                    tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
                    at += tensor.numel()

    def totals(self, values: Sequence[float]) -> list[float]:
        """Sums of numbers over all processes."""
        if self.world == 1:
            return list(values)
        with self._answering():
            sums = torch.tensor(values, dtype=torch.float64, device=self.device)
            dist.all_reduce(sums)
            return [float(value) for value in sums.cpu()]

    def take_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give every tensor the values it has in the first process."""
        if self.world == 1:
            return
        with self._answering():
            for tensor in tensors:
                whole = tensor.contiguous()
                dist.broadcast(whole, 0)
                tensor.copy_(whole)

    def texts(self, text: str) -> list[str]:
        """The texts of all processes, in their order."""
        if self.world == 1:
            return [text]
        data = torch.frombuffer(bytearray(text.encode()) or bytearray(1), dtype=torch.uint8)[: len(text.encode())]
        with self._answering():
            sizes = torch.zeros(self.world, dtype=torch.int64, device=self.device)
            sizes[self.rank] = len(data)
            dist.all_reduce(sizes)
            table = torch.zeros(self.world, int(sizes.max()), dtype=torch.uint8, device=self.device)
            table[self.rank, : len(data)] = data.to(self.device)
            dist.all_reduce(table)
        return [bytes(row[:size].tolist()).decode() for row, size in zip(table.cpu(), sizes.tolist(), strict=True)]

    def close(self) -> None:
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            first = (str(error).splitlines() or [""])[0]
            raise TrainingError(
                f"process {self.rank} of {self.world}: another process has failed or has not answered for "
                f"{self.timeout:g} s, so training ends here ({first[:120]})"
            ) from error


def join_ranks(device: str, timeout: float = 600.0) -> Ranks:
    """The process's place by the environment torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT).

    Without it, or with one process, nothing is opened. device: "cpu" (gloo) or "cuda" (NCCL, one device per process).
    """
    world = _number("WORLD_SIZE", 1)
    if world == 1:
        return Ranks(device=available_device(device))
    rank = _number("RANK", 0)
    place = available_device(device)
    if place.type == "cuda":
        local = _number("LOCAL_RANK", rank)
        if place.index is not None:
            raise InputError(f"--device {device}: with several processes each has a device of its own; give 'cuda'")
        if not torch.cuda.is_available() or local >= torch.cuda.device_count():
            raise DeviceError(f"process {rank} wants cuda:{local}; torch sees {torch.cuda.device_count()} CUDA devices")
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    try:
        dist.init_process_group(
            "nccl" if place.type == "cuda" else "gloo", rank=rank, world_size=world, timeout=timedelta(seconds=timeout)
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"process {rank} of {world} finds no others ({error}); start them with torchrun") from error
    return Ranks(rank, world, place, timeout)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise InputError(f"the environment has {name}={text!r}; a whole number was expected")
    return int(text)


def _pieces(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    piece: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        if piece and (size + tensor.nbytes > _PIECE or tensor.dtype != piece[0].dtype):
            yield piece
            piece, size = [], 0
        piece.append(tensor)
        size += tensor.nbytes
    if piece:
        yield piece
