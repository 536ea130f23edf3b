"""`caffe.io`: blobs and images to and from arrays, and the Transformer. Source: `io.py` of BVLC Caffe 1.0.

scikit-image is not needed. What is equal and what is not: `resize_image` says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from repro.errors import DataError, InputError
from repro.pycaffe.proto import caffe_pb2
from repro.pycaffe.transformer import Transformer

__all__ = [
    "Transformer",
    "array_to_blobproto",
    "array_to_datum",
    "arraylist_to_blobprotovector_str",
    "blobproto_to_array",
    "blobprotovector_str_to_arraylist",
    "datum_to_array",
    "load_image",
    "oversample",
    "resize",
    "resize_image",
]

Proto = Any


def blobproto_to_array(blob: Proto, return_diff: bool = False) -> np.ndarray:
    """The data (or diff) of a BlobProto as an array of its shape, float32; the old four sizes give four axes."""
    data = np.array(blob.diff if return_diff else blob.data, np.float32)
    legacy = ("num", "channels", "height", "width")
    old = any(blob.HasField(name) for name in legacy)
    shape = [int(getattr(blob, name)) for name in legacy] if old else [int(d) for d in blob.shape.dim]
    if int(np.prod(shape)) != data.size:
        raise InputError(f"a BlobProto of shape {tuple(shape)} with {data.size} values")
    return data.reshape(shape)


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Proto:
    """An array, and perhaps its diff, as a BlobProto."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(np.asarray(arr, np.float64).ravel().tolist())
    if diff is not None:
        blob.diff.extend(np.asarray(diff, np.float64).ravel().tolist())
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[np.ndarray]) -> bytes:
    """Arrays as the bytes of a BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector()
    vector.blobs.extend([array_to_blobproto(arr) for arr in arraylist])
    return vector.SerializeToString()


def blobprotovector_str_to_arraylist(data: bytes) -> list[np.ndarray]:
    """The arrays of a BlobProtoVector's bytes."""
    vector = caffe_pb2.BlobProtoVector()
    vector.ParseFromString(data)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Proto:
    """A (C, H, W) array as a Datum: bytes where it is uint8, else floats."""
    if arr.ndim != 3:
        raise ValueError(f"array_to_datum: the array has {arr.ndim} axes; expected 3 (C, H, W)")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).ravel().tolist())
    if label is not None:
        datum.label = int(label)
    return datum


def datum_to_array(datum: Proto) -> np.ndarray:
    """The (C, H, W) array of a Datum: uint8, or float64 where it holds floats."""
    shape = (datum.channels, datum.height, datum.width)
    values = np.frombuffer(datum.data, np.uint8) if len(datum.data) else np.array(datum.float_data, np.float64)
    if values.size != int(np.prod(shape)):
        raise InputError(f"a Datum of shape {shape} with {values.size} values (encoded pictures are not decoded here)")
    return values.reshape(shape)


def load_image(filename: str | os.PathLike[str], color: bool = True) -> np.ndarray:
    """A picture file as float32 in [0, 1]: (H, W, 3) RGB, or (H, W, 1) where `color` is false."""
    try:
        with Image.open(filename) as picture:
            if picture.mode in ("P", "CMYK", "YCbCr"):
                array = np.array(picture.convert("RGB"))
            else:
                array = np.array(picture)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{filename}: not a picture that can be read ({error})") from error
    top = 1.0 if array.dtype == bool else 255.0 if array.dtype == np.uint8 else 65535.0
    values = (array / top).astype(np.float32)
    if values.ndim == 3 and not color:
        # the weights of skimage.color.rgb2gray
        values = (values[:, :, :3] @ np.array([0.2125, 0.7154, 0.0721])).astype(np.float32)
    if values.ndim == 2:
        return np.tile(values[:, :, np.newaxis], (1, 1, 3 if color else 1))
    return values[:, :, :3]


def resize(image: np.ndarray, shape: Sequence[int], order: int = 1, anti_aliasing: bool = False) -> np.ndarray:
    """`skimage.transform.resize(image, shape, order, mode="constant")` of an (H, W, K) array, float64.

    Half-pixel centres, zero outside. Up to scikit-image 0.14, what Caffe ran with, there was no smoothing when
    shrinking; `anti_aliasing` adds the later versions' Gaussian.
    """
    values = np.asarray(image, np.float64)
    factors = np.array([*values.shape[:2]], float) / np.array([int(s) for s in shape[:2]], float)
    if anti_aliasing and (factors > 1).any():
        sigma = (*np.maximum(0, (factors - 1) / 2), *[0.0] * (values.ndim - 2))
        values = ndimage.gaussian_filter(values, sigma, mode="grid-constant", cval=0)
    zoom = (*(1 / factors), *[1.0] * (values.ndim - 2))
    return ndimage.zoom(values, zoom, order=order, mode="grid-constant", cval=0, grid_mode=True)


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """An (H, W, K) array resized to `new_dims` (height, width), float32.

    One and three channels: as `resize`, on values scaled to [0, 1], so that borders fade to the image's minimum, as
    with scikit-image (equal to its 0.21 within 1e-6 of the range when enlarging; when shrinking that version smooths
    first, those of Caffe's time did not, and this does not). Other channels: `scipy.ndimage.zoom`, as Caffe does.
    """
    height, width = (int(d) for d in new_dims[:2])
    if im.ndim != 3 or im.size == 0 or height < 1 or width < 1:
        raise InputError(f"resize_image: an array of shape {im.shape} to {(height, width)}; expected (H, W, K)")
    if im.shape[2] not in (1, 3):
        scale = (height / im.shape[0], width / im.shape[1], 1)
        return ndimage.zoom(im, scale, order=interp_order).astype(np.float32)
    low, high = im.min(), im.max()
    if not high > low:
        return np.full((height, width, im.shape[2]), low, np.float32)
    resized = resize((im - low) / (high - low), (height, width), interp_order)
    return (resized * (high - low) + low).astype(np.float32)


def oversample(images: Sequence[np.ndarray], crop_dims: Sequence[int]) -> np.ndarray:
    """Four corners and the centre of each (H, W, K) image, then the same mirrored: (10 N, h, w, K) float32."""
    height, width, channels = images[0].shape
    h, w = (int(d) for d in crop_dims)
    if h > height or w > width:
        raise InputError(f"oversample: crops of {h}x{w} from images of {height}x{width}")
    corners = [(top, left) for top in (0, height - h) for left in (0, width - w)]
    places = [*corners, (int(height / 2.0 - h / 2.0), int(width / 2.0 - w / 2.0))]
    crops = np.empty((10 * len(images), h, w, channels), np.float32)
    for number, image in enumerate(images):
        for at, (top, left) in enumerate(places):
            crop = image[top : top + h, left : left + w]
            crops[10 * number + at] = crop
            crops[10 * number + 5 + at] = crop[:, ::-1]
    return crops
