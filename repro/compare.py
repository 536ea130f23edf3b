"""A net's blobs against those another Caffe stored: where they part, and by how much.

A reference is an .npz, or a folder of .npy files (also in sub-folders, for blob names with a slash). A key is a blob's
name, as in ``np.save(name, net.blobs[name].data)`` of pycaffe: the blob's last state; or ``<place>__<layer>__<top>``,
top by name or number: the state right behind that layer, which tells in-place layers apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from repro.errors import FormatError, InputError

if TYPE_CHECKING:
    from repro.graph import Step
    from repro.net import Net

Array = npt.NDArray[np.float32]
# the blobs Caffe's own Split layers make; in this project a blob with several readers needs no copies
_SPLIT = re.compile(r"_split_\d+$")


@dataclass(frozen=True)
class Difference:
    """One blob. `relative` is max |a - b| / max |b|; `ulp` the largest distance in units of the last place.

    `switches`: for a pooling mask, how many of its entries differ (else None). `shape` is what the net has where the
    shapes differ, and then nothing else is compared.
    """

    key: str
    layer: str
    type: str
    size: int
    max_abs: float = 0.0
    relative: float = 0.0
    ulp: int = 0
    differing: int = 0
    switches: int | None = None
    shape: tuple[int, ...] | None = None
    expected_shape: tuple[int, ...] | None = None

    def beyond(self, limit: Limit) -> bool:
        """Whether this is more than the limit allows."""
        if self.shape is not None:
            return True
        if self.switches is not None:
            return self.switches > limit.switches
        return (limit.ulp is not None and self.ulp > limit.ulp) or (
            limit.relative is not None and not self.relative <= limit.relative
        )


@dataclass(frozen=True)
class Limit:
    """What is still agreement: a relative difference, a distance in ULP, differing switches; None: not asked for."""

    relative: float | None = 1e-5
    ulp: int | None = None
    switches: int = 0


@dataclass(frozen=True)
class Comparison:
    """All compared blobs in running order, the first beyond the limit, and the reference's keys that met no blob."""

    rows: tuple[Difference, ...]
    first: Difference | None
    left_out: tuple[str, ...] = ()
    causes: tuple[str, ...] = field(default=())


def read_reference(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Key -> array of an .npz or a folder of .npy files; nothing is unpickled. FormatError naming the file."""
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob("*.npy"))
        if not files:
            raise FormatError(f"{path}: no .npy files in this folder; expected one per blob, named after it")
        return {f.relative_to(path).with_suffix("").as_posix(): _load(f) for f in files}
    if not path.is_file():
        raise FormatError(f"{path}: no such file or folder; expected an .npz, or a folder with one .npy per blob")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                return {path.stem: _numbers(archive, path)}
            return {key: _numbers(archive[key], path, key) for key in archive.files}
    except FormatError:
        raise
    except Exception as error:  # zipfile's and NumPy's own errors share no base
        raise FormatError(f"{path}: not an .npz of plain arrays ({type(error).__name__}: {error})") from None


def _load(path: Path) -> np.ndarray:
    try:
        return _numbers(np.load(path, allow_pickle=False), path)
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(f"{path}: not a .npy array ({error})") from None


def _numbers(array: np.ndarray, path: Path, key: str = "") -> np.ndarray:
    if array.dtype.kind not in "fiub":
        raise FormatError(f"{path}: {f'{key!r} has' if key else ''} dtype {array.dtype}; expected numbers")
    return array


def match(net: Net, reference: Mapping[str, np.ndarray]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Reference key -> the key under which `net(capture=True)` has that blob; and the keys that meet none."""
    by_layer: dict[tuple[str, str], list[str]] = {}
    last: dict[str, str] = {}
    for step, number, top in _tops(net):
        key = f"{step.key}__{top}"
        for name in (top, str(number)):
            by_layer.setdefault((step.layer.spec.name, name), []).append(key)
        last[top] = key
    found: dict[str, str] = {}
    left = []
    for key in reference:
        meeting = _layer_key(key, by_layer) or last.get(key) or (key if key in net.inputs else None)
        if meeting is None:
            left.append(key)
        else:
            found[key] = meeting
    return found, tuple(k for k in left if not _SPLIT.search(k))


def _layer_key(key: str, by_layer: Mapping[tuple[str, str], list[str]]) -> str | None:
    """The meeting of ``<place>__<layer>__<top>``; where layers share a name, the one at that place or the only one."""
    parts = key.split("__", 1)
    if len(parts) != 2 or not parts[0].isdigit():
        return None
    layer, _, top = parts[1].rpartition("__")
    keys = by_layer.get((layer, top), [])
    return next((k for k in keys if k.startswith(f"{parts[0]}__")), keys[0] if len(keys) == 1 else None)


def _tops(net: Net) -> Iterator[tuple[Step, int, str]]:
    for step in net.graph.steps:
        if not step.is_source:
            for number, top in enumerate(step.layer.spec.tops):
                yield step, number, top


def compare(
    net: Net, inputs: Mapping[str, object], reference: Mapping[str, np.ndarray], limit: Limit | None = None
) -> Comparison:
    """Run the net on `inputs` and hold every blob that `reference` has against it.

    Inputs that are not given are taken from the reference where it has them. `limit`: by default 1e-5 relative, or in
    numerics "exact" 0 ULP. Raises InputError where nothing can be compared.
    """
    limit = limit or (Limit(None, 0) if net.numerics == "exact" else Limit())
    given = with_stored_inputs(net, inputs, reference)
    meetings, left = match(net, {k: v for k, v in reference.items() if k not in net.inputs})
    if not meetings:
        known = ", ".join(list(dict.fromkeys(top for _, _, top in _tops(net)))[:8])
        raise InputError(
            f"none of the reference's {len(reference)} keys names a blob of {net.spec.source}: "
            f"{', '.join(list(reference)[:8])}; expected blob names ({known}, …) or <place>__<layer>__<top>"
        )
    with torch.no_grad():
        blobs = net(capture=True, **given)
    rows = difference_rows(net, blobs, reference, meetings)
    return Comparison(rows, next((row for row in rows if row.beyond(limit)), None), left)


def with_stored_inputs(
    net: Net, inputs: Mapping[str, object], reference: Mapping[str, np.ndarray]
) -> dict[str, object]:
    """The inputs, and those that only the reference has."""
    stored = {name: reference[name] for name in net.inputs if name not in inputs and name in reference}
    return {**stored, **inputs}


def difference_rows(
    net: Net, blobs: Mapping[str, torch.Tensor], reference: Mapping[str, np.ndarray], meetings: Mapping[str, str]
) -> tuple[Difference, ...]:
    """One row per meeting, in running order."""
    back: dict[str, list[str]] = {}
    for key, ours in meetings.items():
        back.setdefault(ours, []).append(key)
    rows = []
    for step, number, top in _tops(net):
        ours = f"{step.key}__{top}"
        is_mask = number == 1 and step.layer.spec.type == "Pooling"
        for key in back.get(ours, ()):
            spec = step.layer.spec
            rows.append(difference(key, spec.name, spec.type, blobs[ours].cpu().numpy(), reference[key], is_mask))
    return tuple(rows)


def difference(
    key: str, layer: str, type_: str, found: np.ndarray, expected: np.ndarray, is_mask: bool = False
) -> Difference:
    """Two arrays of the same blob; leading ones in either shape do not count (Caffe's old blobs have four axes)."""
    if _core(found.shape) != _core(expected.shape):
        return Difference(key, layer, type_, found.size, shape=found.shape, expected_shape=expected.shape)
    a = np.ascontiguousarray(found, np.float32).reshape(-1)
    b = np.ascontiguousarray(expected, np.float32).reshape(-1)
    same = (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))
    wrong = ~same
    if not wrong.any():
        return Difference(key, layer, type_, a.size, switches=0 if is_mask else None)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a[wrong].astype(np.float64) - b[wrong])
    finite = b[np.isfinite(b)]
    scale = float(np.abs(finite).max(initial=0.0)) or 1.0
    # where only one of the two is a number there is no distance
    largest = float("inf") if not np.isfinite(gap).all() else float(gap.max())
    return Difference(
        key,
        layer,
        type_,
        a.size,
        max_abs=largest,
        relative=largest / scale,
        ulp=int(np.abs(ordered(a[wrong]) - ordered(b[wrong])).max()),
        differing=int(wrong.sum()),
        switches=int((a != b).sum()) if is_mask else None,
    )


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((k for k, d in enumerate(shape) if d != 1), len(shape))
    return tuple(shape[first:])


def ordered(values: Array) -> npt.NDArray[np.int64]:
    """Integers in the order of the float32 values, neighbours 1 apart; both zeros are 0."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
