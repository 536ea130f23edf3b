"""One run over several processes and machines: who takes which photographs, and how what they found comes together.

Started by ``torchrun``, which sets RANK, WORLD_SIZE, LOCAL_RANK and the meeting place; a plain run is one shard of one.
Only bytes of JSON and of PNGs travel, as uint8 tensors: nothing is pickled.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from repro.errors import DeviceError

# a shard that is done waits for the slowest, which may have hours of work left; torchrun ends all where one dies
_PATIENCE = datetime.timedelta(days=30)


class Shards:
    """This process among `count`: photographs rank, rank + count, rank + 2·count, … are its own."""

    def __init__(self, rank: int = 0, count: int = 1, device: str | torch.device = "cpu") -> None:
        self.rank, self.count = rank, count
        self._device = torch.device(device)

    @property
    def first(self) -> bool:
        """Whether this process prints and writes what all found."""
        return self.rank == 0

    def own(self, names: Sequence[str]) -> list[str]:
        """This process's share, in order."""
        return list(names[self.rank :: self.count])

    def gather(self, plain: Any) -> list[Any]:
        """Plain data of every process, in the order of ranks, in every process."""
        if self.count == 1:
            return [plain]
        own = torch.frombuffer(bytearray(json.dumps(plain).encode()), dtype=torch.uint8).to(self._device)
        length = torch.tensor([len(own)], dtype=torch.int64, device=self._device)
        lengths = [torch.zeros_like(length) for _ in range(self.count)]
        dist.all_gather(lengths, length)
        longest = max(int(one) for one in lengths)
        padded = torch.zeros(longest, dtype=torch.uint8, device=self._device)
        padded[: len(own)] = own
        texts = [torch.zeros_like(padded) for _ in range(self.count)]
        dist.all_gather(texts, padded)
        pairs = zip(texts, lengths, strict=True)
        return [json.loads(text[: int(size)].cpu().numpy().tobytes()) for text, size in pairs]


def sendable(data: bytes) -> str:
    """Bytes as text, for `Shards.gather`."""
    return base64.b64encode(data).decode("ascii")


def received(text: str) -> bytes:
    """The bytes that `sendable` made text of."""
    return base64.b64decode(text)


def device_of_this_process(device: str) -> str:
    """The device a process started by torchrun uses: "cuda" becomes the card of its number on this machine."""
    local = os.environ.get("LOCAL_RANK")
    if device != "cuda" or local is None or "WORLD_SIZE" not in os.environ:
        return device
    cards = torch.cuda.device_count()
    return f"cuda:{int(local) % cards}" if cards else device


@contextmanager
def started_shards(device: str, backend: str = "auto") -> Iterator[Shards]:
    """The shards torchrun started, or the single one of a plain run.

    backend: "gloo", "nccl", or "auto": nccl where every process has a card of its own, gloo otherwise. DeviceError
    where the processes cannot be joined.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Shards()
        return
    chosen = backend if backend != "auto" else _usual_backend(device)
    try:
        dist.init_process_group(chosen, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(f"torch.distributed with {chosen}: {error}") from None
    try:
        yield Shards(dist.get_rank(), dist.get_world_size(), device if chosen == "nccl" else "cpu")
    finally:
        dist.destroy_process_group()


def _usual_backend(device: str) -> str:
    own_cards = torch.device(device).type == "cuda" and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= (
        torch.cuda.device_count()
    )
    return "nccl" if own_cards and dist.is_nccl_available() else "gloo"
