"""What the feeds of file lists share: batches made ahead in order, and a place to go on from."""

from __future__ import annotations

from typing import Any

import torch

from repro.caffe import LayerSpec
from repro.data.order import SampleOrder
from repro.data.prefetch import Prefetcher
from repro.errors import DataError, InputError


class OrderedFeed:
    """Batch number n is a function of n alone, whatever made it; a subclass says it in `_make_batch`.

    ``pinned``: batches are made in page-locked memory, which a GPU copies from while the CPU goes on.
    """

    def __init__(self, spec: LayerSpec, order: SampleOrder, batch_size: int, workers: int) -> None:
        if batch_size < 1:
            raise InputError(f"layer '{spec.name}' ({spec.where}): batch_size must be at least 1")
        self.name, self.tops = spec.name, spec.tops
        self.order, self.batch_size = order, batch_size
        self._rank, self._world = 0, 1
        self.pinned = False
        self._batches: Prefetcher[dict[str, torch.Tensor]] = Prefetcher(self._make_own, workers=workers)

    def share(self, rank: int, world: int) -> None:
        """From now on give batches rank, rank + world, … only; before the first batch."""
        self._rank, self._world = rank, world

    def _make_own(self, number: int) -> dict[str, torch.Tensor]:
        batch = self._make_batch(number * self._world + self._rank)
        return {name: blob.pin_memory() for name, blob in batch.items()} if self.pinned else batch

    def _make_batch(self, number: int) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def next(self) -> dict[str, torch.Tensor]:
        """The next batch: top name -> tensor on the CPU."""
        return self._batches.next()

    def state(self) -> dict[str, Any]:
        """What `load_state` needs to go on with the next batch."""
        own = {"layer": self.name, "seed": self.order.seed, "samples": self.order.count}
        return {**own, "batch": self._batches.position * self._world}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; DataError if it belongs to other data or another seed."""
        for key in ("seed", "samples"):
            if state.get(key) != self.state()[key]:
                raise DataError(
                    f"layer '{self.name}': the snapshot was taken with {key} {state.get(key)}, this run has "
                    f"{self.state()[key]}; give the same seed and index file"
                )
        batches = int(state["batch"])
        if batches % self._world:
            raise DataError(f"layer '{self.name}': {batches} batches cannot be shared by {self._world} processes")
        self._batches.seek(batches // self._world)

    def close(self) -> None:
        """Stop the threads."""
        self._batches.close()
