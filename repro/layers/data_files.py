"""Place holders for the layers that read data sets: they know their tops' shapes as far as the prototxt says them.

Sizes come from the crop, else from the size images are resized to; where both are left to the files, the caller says
them (`shapes=`). Source: `data_layer.cpp`, `image_data_layer.cpp`, `window_data_layer.cpp`, `memory_data_layer.cpp` of
BVLC Caffe; `image_seg_data_layer.cpp`, `window_seg_data_layer.cpp`, `window_cls_data_layer.cpp`,
`select_seg_binary_layer.cpp` of HyeonwooNoh/caffe and of DeepLab's; `dense_image_data_layer.cpp` of
alexgkendall/caffe-segnet; `annotated_data_layer.cpp` of weiliu89/caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repro.layers.base import Partial, option
from repro.layers.data import Source
from repro.layers.registry import register


class FileSource(Source):
    """Tops image (N, C, h, w) and whatever `rest` says; the options stand in `options_name`."""

    options_name = ""

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        """Shapes of the tops behind the image."""
        raise NotImplementedError

    def partial_shapes(self) -> Sequence[Partial]:
        options = self.options(self.options_name)
        n = int(option(options, "batch_size", 1))
        if n < 1:
            self.fail(f"batch_size is {n}, must be at least 1")
        h, w = self._size(options)
        shapes: list[Partial] = [(n, self._channels(options), h, w), *self.rest(options, n, h, w)]
        if len(self.spec.tops) > len(shapes):
            self.fail(f"has {len(self.spec.tops)} tops, gives {len(shapes)}")
        return shapes[: len(self.spec.tops)]

    def _channels(self, options: Any) -> int | None:
        transform = self.options("transform_param")
        return 1 if option(transform, "force_gray", False) or not option(options, "is_color", True) else 3

    def _size(self, options: Any) -> tuple[int, int] | tuple[None, None]:
        transform = self.options("transform_param")
        resize = option(transform, "resize_param", None)
        named = (
            (transform, "crop_h", "crop_w"),
            (options, "crop_height", "crop_width"),
            (transform, "crop_size", "crop_size"),
            (options, "crop_size", "crop_size"),
            (resize, "height", "width"),
            (options, "new_height", "new_width"),
        )
        for message, high, wide in named:
            if message is None:
                continue
            h, w = int(option(message, high, 0) or 0), int(option(message, wide, 0) or 0)
            if h and w:
                return h, w
        return None, None


class _ImageAndLabel(FileSource):
    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        return [(n,)]


@register("Data")
class Data(_ImageAndLabel):
    """Image and label (N,) from a database; colour unless force_gray, which only the database knows for certain."""

    options_name = "data_param"

    def _channels(self, options: Any) -> int | None:
        known = super()._channels(options)
        # a database of label maps is a Data layer as well: its reader tells
        return None if known == 3 and self.context.assume is not None and len(self.spec.tops) == 1 else known


@register("ImageData")
class ImageData(_ImageAndLabel):
    """Image and label (N,) from a list of files."""

    options_name = "image_data_param"


@register("WindowData")
class WindowData(_ImageAndLabel):
    """Image and label (N,) from windows of images."""

    options_name = "window_data_param"


@register("AnnotatedData")
class AnnotatedData(FileSource):
    """Image and boxes (1, 1, 1, 8): SSD's; how many boxes there are is known only from the data."""

    options_name = "data_param"

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        return [(1, 1, 1, 8)]


@register("ImageSegData", "WindowSegData", "WindowInstSegData")
class SegmentationData(FileSource):
    """Image, label map (N, 1, h, w) and image size (N, 1, 1, 2), without the label map where it is not asked for."""

    options_name = "image_data_param"
    tops = (1, 3)

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        if option(options, "label_type", "PIXEL") == "NONE" and len(self.spec.tops) == 2:
            return [(n, 1, 1, 2)]
        return [(n, 1, h, w), (n, 1, 1, 2)]


@register("SelectSegBinary")
class SelectSegBinary(FileSource):
    """Image, label map (N, 1, h, w) of the chosen class, and the classes chosen (N, label_dim, 1, 1)."""

    options_name = "image_data_param"

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        return [(n, 1, h, w), (n, _label_dim(self), 1, 1)]


@register("WindowClsData")
class WindowClsData(FileSource):
    """Image and which classes it shows, (N, label_dim, 1, 1)."""

    options_name = "image_data_param"

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        return [(n, _label_dim(self), 1, 1)]


def _label_dim(layer: FileSource) -> int:
    options = layer.options("window_cls_data_param")
    if int(options.label_dim) < 1:
        layer.fail("window_cls_data_param { label_dim } says how many classes there are; it is missing")
    return int(options.label_dim)


@register("DenseImageData")
class DenseImageData(FileSource):
    """Image and label map (N, 1, h, w); ENet's `label_divide_factor` shrinks the label map."""

    options_name = "dense_image_data_param"

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        factor = int(option(options, "label_divide_factor", 1)) or 1
        return [(n, 1, h and h // factor, w and w // factor)]


@register("ImageLabelmapData")
class ImageLabelmapData(FileSource):
    """Image and label map (N, 1, h, w), of the edge detectors' forks (HED, RCF)."""

    options_name = "image_data_param"

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        return [(n, 1, h, w)]


@register("ImageLabelData")
class ImageLabelData(FileSource):
    """Image and label map (N, 1, h, w), whose sides `label_slice` says; of Yu and Koltun's dilated nets.

    Source: `image_label_data_layer.cpp` of fyu/caffe-dilation.
    """

    options_name = "image_label_data_param"

    def rest(self, options: Any, n: int, h: int | None, w: int | None) -> list[Partial]:
        sides = [int(side) for side in options.label_slice.dim]
        if sides and (len(sides) != 2 or min(sides) < 1):
            self.fail(f"label_slice {{ dim }} is {sides}; expected height and width of the label map")
        return [(n, 1, *(sides or (h, w)))]


@register("MemoryData")
class MemoryData(Source):
    """Image (N, C, h, w) and label (N,); in naibaf7's fork any shape by `dim`."""

    unknown = "batch_size, channels, height and width are not all given"

    def partial_shapes(self) -> Sequence[Partial]:
        options = self.options("memory_data_param")
        sides = [int(d) for d in option(options, "dim", [])]
        sides = sides or [int(getattr(options, n)) for n in ("batch_size", "channels", "height", "width")]
        if min(sides) < 0:
            self.fail(f"its shape is {tuple(sides)}; no side may be negative")
        shape = tuple(side or None for side in sides)
        # forks give more, of shapes only they know
        return [shape, shape[:1], *[None] * len(self.spec.tops)][: len(self.spec.tops)]


@register("HDF5Data")
class HDF5Data(Source):
    """Blobs of any shape from HDF5 files: shapes are known only once the data are given."""

    unknown = "the shapes of an HDF5 source are in its files"

    def partial_shapes(self) -> Sequence[Partial]:
        n = int(self.options("hdf5_data_param").batch_size)
        return [(n or None, None, None, None)] * len(self.spec.tops)
