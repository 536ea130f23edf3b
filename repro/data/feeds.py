"""Where the blobs of data layers come from: `open_feed` for a layer of a prototxt, `ArrayFeed` for arrays in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import LayerSpec, NetSpec
from repro.data.database_feed import DatabaseFeed
from repro.data.dense_feed import DenseFeed
from repro.data.hdf5_feed import Hdf5Feed
from repro.data.image_feed import ImageFeed
from repro.data.label_slice_feed import LabelSliceFeed
from repro.data.ordered_feed import OrderedFeed
from repro.data.seg_feeds import SegFeed
from repro.errors import InputError, UnsupportedError

SEG_TYPES = ("ImageSegData", "WindowSegData")
FILE_TYPES = ("ImageData", "DenseImageData", "HDF5Data", "Data")
READ_TYPES = (*SEG_TYPES, *FILE_TYPES, "ImageLabelData", "MemoryData")
# every other data layer of Caffe and the forks: known, so that the message can say so instead of "unknown layer"
OTHER_TYPES = (
    "WindowData", "WindowClsData", "WindowInstSegData", "SelectSegBinary", "AnnotatedData", "ImageLabelmapData",
)  # fmt: skip


class Feed(Protocol):
    """The blobs of one data layer, batch after batch."""

    def next(self) -> dict[str, torch.Tensor]:
        """The next batch: top name -> tensor on the CPU."""

    def state(self) -> dict[str, Any]:
        """What `load_state` needs to go on with the next batch; plain JSON values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; DataError if it belongs to other data or another seed."""

    def close(self) -> None:
        """Stop the threads behind the feed."""


class ArrayFeed:
    """Batches from arrays in memory, in order and cyclic; the first axis is the sample.

    >>> ArrayFeed({"data": x, "label": y}, batch_size=2).next()   # doctest: +SKIP
    {'data': tensor of x[:2], 'label': tensor of y[:2]}
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any] | torch.Tensor], batch_size: int, *, rows: int | None = None):
        self.tensors = {name: torch.as_tensor(np.asarray(array)) for name, array in arrays.items()}
        lengths = {name: len(tensor) for name, tensor in self.tensors.items()}
        if not lengths or len(set(lengths.values())) != 1:
            raise InputError(f"arrays of one feed need the same number of samples, found {lengths}")
        self.rows = min(lengths.values()) if rows is None else rows
        if not 1 <= batch_size <= self.rows <= min(lengths.values()):
            raise InputError(f"batch_size {batch_size} and rows {self.rows} do not fit {lengths}")
        self.batch_size = batch_size
        self.position = 0

    def next(self) -> dict[str, torch.Tensor]:
        index = [(self.position + i) % self.rows for i in range(self.batch_size)]
        self.position = (self.position + self.batch_size) % self.rows
        return {name: tensor[index] for name, tensor in self.tensors.items()}

    def state(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state(self, state: dict[str, Any]) -> None:
        self.position = int(state["position"]) % self.rows

    def close(self) -> None:
        pass


class MemoryFeed(ArrayFeed):
    """Batches of a MemoryData layer from arrays given by its tops' names; as pycaffe's `set_input_arrays` takes them.

    data (N, C, H, W), label (N,), N a multiple of batch_size; the values are not transformed, as in Caffe.
    Source: `MemoryDataLayer::Reset`, memory_data_layer.cpp.
    """

    def __init__(self, spec: LayerSpec, arrays: Mapping[str, NDArray[Any]] | None) -> None:
        options = spec.options("memory_data_param")
        where = f"layer '{spec.name}' ({spec.where})"
        if arrays is None or any(top not in arrays for top in spec.tops):
            found = "none are given" if arrays is None else f"given are {', '.join(arrays) or 'none'}"
            raise InputError(
                f"{where}: a MemoryData layer needs arrays for {', '.join(spec.tops)}, {found} (--arrays FILE.npz)"
            )
        mine = {top: np.asarray(arrays[top], np.float32) for top in spec.tops}
        shape = tuple(int(n or 0) for n in (options.channels, options.height, options.width))
        data = mine[spec.tops[0]]
        if data.shape[1:] != shape:
            raise InputError(f"{where}: data of shape {data.shape}; the layer says (N, {', '.join(map(str, shape))})")
        batch_size = int(options.batch_size or 0)
        if batch_size < 1 or len(data) % batch_size:
            raise InputError(f"{where}: {len(data)} samples are no multiple of batch_size {batch_size}")
        for top in spec.tops[1:]:
            mine[top] = mine[top].reshape(len(mine[top]))
        super().__init__(mine, batch_size)


class ShareOfFeed:
    """The batches rank, rank + world, … of a feed that knows no shares."""

    def __init__(self, feed: Feed, rank: int, world: int) -> None:
        self._feed, self._rank, self._world = feed, rank, world

    def next(self) -> dict[str, torch.Tensor]:
        return [self._feed.next() for _ in range(self._world)][self._rank]

    def state(self) -> dict[str, Any]:
        return self._feed.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self._feed.load_state(state)

    def close(self) -> None:
        self._feed.close()


def share_feed(feed: Feed, rank: int, world: int) -> Feed:
    """The feed of one of ``world`` processes, which together see what one process would see."""
    if world == 1:
        return feed
    if isinstance(feed, OrderedFeed):
        feed.share(rank, world)
        return feed
    return ShareOfFeed(feed, rank, world)


def open_feed(
    spec: LayerSpec,
    phase: str,
    seed: int,
    *,
    root: Path | None = None,
    workers: int = 2,
    cache_bytes: int = 512 << 20,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> Feed:
    """The feed of one data layer.

    ``root`` is the folder that relative source and root_folder paths start from (the current one without it); ``seed``
    fixes order and augmentation; ``workers`` threads decode ahead (0: none) without any influence on the result.
    ``arrays`` are the values of MemoryData layers by the names of their tops.
    UnsupportedError for data layers that are not read yet, InputError for layers that are no data layers.
    """
    if spec.type in SEG_TYPES:
        return SegFeed(spec, phase, seed, root=root, workers=workers, cache_bytes=cache_bytes)
    if spec.type == "DenseImageData":
        return DenseFeed(spec, phase, seed, root=root, workers=workers, cache_bytes=cache_bytes)
    if spec.type == "ImageLabelData":
        return LabelSliceFeed(spec, phase, seed, root=root, workers=workers, cache_bytes=cache_bytes)
    if spec.type == "ImageData":
        return ImageFeed(spec, phase, seed, root=root, workers=workers, cache_bytes=cache_bytes)
    if spec.type == "MemoryData":
        return MemoryFeed(spec, arrays)
    if spec.type == "Data":
        return DatabaseFeed(spec, phase, seed, root=root, workers=workers)
    if spec.type == "HDF5Data":
        return Hdf5Feed(spec, phase, seed, root=root, workers=workers)
    if spec.type in OTHER_TYPES:
        raise UnsupportedError(
            f"layer '{spec.name}' ({spec.where}): data layers of type {spec.type} cannot be read yet "
            f"(can be: {', '.join(READ_TYPES)}); give the arrays yourself with an ArrayFeed"
        )
    raise InputError(f"layer '{spec.name}' ({spec.where}): {spec.type} is no data layer")


def data_layers(spec: NetSpec) -> list[LayerSpec]:
    """The layers of a net that need a feed, in order."""
    return [layer for layer in spec.layers if layer.type in READ_TYPES + OTHER_TYPES]


def file_shapes(spec: NetSpec, root: Path | None = None) -> dict[str, tuple[int, ...]]:
    """Shapes of the blobs that only their files can tell, from the first batch.

    Of the layers FILE_TYPES names, and of SEG_TYPES that neither crop nor resize: their blobs are as large as each
    picture. As in Caffe, which reads the first file or picture before the net is built.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in data_layers(spec):
        if layer.type in FILE_TYPES or (layer.type in SEG_TYPES and _as_large_as_pictures(layer)):
            feed = open_feed(layer, spec.phase, 0, root=root, workers=0)
            shapes.update((name, tuple(blob.shape)) for name, blob in feed.next().items())
    return shapes


def _as_large_as_pictures(layer: LayerSpec) -> bool:
    options, transform = layer.options("image_data_param"), layer.options("transform_param")
    return not (options.new_height or options.new_width or transform.crop_size)


def open_feeds(
    spec: NetSpec,
    seed: int,
    *,
    root: Path | None = None,
    workers: int = 2,
    cache_bytes: int = 512 << 20,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> list[Feed]:
    """One feed for every data layer of the net; none can be opened unless all can."""
    feeds: list[Feed] = []
    try:
        for layer in data_layers(spec):
            options: dict[str, Any] = {"root": root, "workers": workers, "cache_bytes": cache_bytes, "arrays": arrays}
            feeds.append(open_feed(layer, spec.phase, seed, **options))
    except BaseException:
        for feed in feeds:
            feed.close()
        raise
    return feeds
