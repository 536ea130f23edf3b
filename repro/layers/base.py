"""What every layer is: an nn.Module built from one LayerSpec, with Caffe's parameters in Caffe's order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from repro.caffe import LayerSpec
from repro.errors import InputError, NetError
from repro.layers.alignment import Affine
from repro.layers.later import torch
from repro.layers.reach import Reaches, point_reach

if TYPE_CHECKING:
    from torch import nn

    _Base = nn.Module
else:
    _Base = object

Shape = tuple[int, ...]

# Caffe's own bounds of a blob (kMaxBlobAxes; Blob::Reshape: the count is an int)
MAX_AXES = 32
MAX_COUNT = 2**31 - 1
# a shape as far as a prototxt tells it: None for a side it leaves to the data, or for the whole
Partial = tuple[int | None, ...] | None


def _no_alignment(_first: str, _second: str) -> tuple[Affine, Affine] | None:
    return None


@dataclass(frozen=True)
class BuildContext:
    """What a layer may know of the net it stands in."""

    phase: str = "TEST"
    numerics: str = "native"
    dialect: str = "bvlc"
    # whether a Python layer may be imported by the module and class name the prototxt gives
    allow_python: bool = False
    # shapes the caller gives for blobs of Input and data layers, over what the prototxt says
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    # (blob, its shape as far as known, why it is not known) -> a shape to go on with; without, that is an error
    assume: Callable[[str, Partial, str], Shape] | None = None
    # (blob a, blob b) -> their coordinate maps to one common ancestor; only Crop asks
    align: Callable[[str, str], tuple[Affine, Affine] | None] = field(default=_no_alignment)


@dataclass(frozen=True)
class Blob:
    """A parameter as a layer declares it: its shape, and the filler for its first values."""

    shape: Shape
    filler: Any = None

    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def numel(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class PerChannel:
    """What an in-place layer does where that is x * scale, + shift per channel (axis 1), or max(0, x), and no more."""

    scale: torch.Tensor | None = None
    shift: torch.Tensor | None = None
    relu: bool = False


def joined(following: Sequence[PerChannel]) -> tuple[PerChannel, int]:
    """As many of them as one pass can do, and how many: at most one scale and shift, then at most one ReLU."""
    scale = shift = None
    relu, done = False, 0
    for one in following:
        if relu or (one.scale is not None and done):
            break
        if one.scale is not None:
            scale, shift = one.scale.flatten(), None if one.shift is None else one.shift.flatten()
        relu = one.relu
        done += 1
    return PerChannel(scale, shift, relu), done


class Layer(_Base):
    """One Caffe layer.

    As it stands it knows shapes, parameter counts and what is wrong, for which torch is not imported; `module_class`
    makes it an nn.Module that also runs, and to a type checker it always is one.

    ``forward(*bottoms)`` returns a tuple with one tensor per top. A subclass reads its options in ``setup`` (where it
    also adds its parameter blobs) and says its top shapes in ``infer``; shapes are those of Caffe (N, C, H, W).
    """

    # a place where blobs enter from outside (Input and data layers)
    is_input: bool = False
    # what a bottom may be besides a tensor: layers that know how to use pooling switches without Caffe's float mask
    accepts_switches: ClassVar[bool] = False
    # tops never share memory with a bottom, so that a following in-place layer may overwrite them
    fresh_tops: ClassVar[bool] = True
    # places of bottoms of which nothing but the size is read
    size_bottoms: ClassVar[tuple[int, ...]] = ()
    # has a form with Caffe's own arithmetic, bit for bit (numerics "exact")
    has_exact: ClassVar[bool] = False
    # (fewest, most) bottoms and tops; None = any number
    bottoms: ClassVar[tuple[int, int | None]] = (1, 1)
    tops: ClassVar[tuple[int, int | None]] = (1, 1)
    # loss_weight of the first top where the prototxt gives none
    default_loss_weight: ClassVar[float] = 0.0

    def __init__(self, spec: LayerSpec, bottom_shapes: Sequence[Shape], context: BuildContext) -> None:
        super().__init__()
        self.spec = spec
        self.context = context
        self.declared: dict[str, Blob] = {}
        self._check_count("bottom", len(spec.bottoms), self.bottoms)
        self._check_count("top", len(spec.tops), self.tops)
        shapes = [tuple(s) for s in bottom_shapes]
        self.setup(shapes)
        self.top_shapes: list[Shape] = self.infer(shapes)
        for top, shape in zip(spec.tops, self.top_shapes, strict=False):
            self._check_blob(f"top '{top}'", shape)

    # --- for subclasses

    def setup(self, bottom_shapes: list[Shape]) -> None:
        """Read and check the options; add parameter blobs."""

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        """Top shapes for these bottom shapes; NetError where they do not fit."""
        return [bottom_shapes[0]] * len(self.spec.tops)

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        """Multiply-adds of one forward pass at these bottom shapes."""
        return 0

    def overwrite(self, x: torch.Tensor) -> torch.Tensor | None:
        """The first top computed into x's own storage (bits as `forward`'s), or None where the layer cannot."""
        return None

    def per_channel(self) -> PerChannel | None:
        """What `overwrite` does, where a layer before or after it can do that in its own pass (bits as `forward`'s)."""
        return None

    def forward_with(self, x: torch.Tensor, following: Sequence[PerChannel]) -> tuple[torch.Tensor, int] | None:
        """The only top, and how many of the following in-place layers are done in it; None where the layer cannot."""
        return None

    def forward_after(self, x: torch.Tensor, first: PerChannel) -> tuple[Any, ...] | None:
        """The tops of what `first` makes of x, in one pass (the same bits); None where the layer cannot."""
        return None

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        """How (h, w) of the first top map to (h, w) of the first bottom; None where there is no such map."""
        return Affine(), Affine()

    def reach(self) -> Reaches | None:
        """What of the bottoms an index (h, w) of a top reads; None: all of them, or what no rule says."""
        maps = self.coordinate_map()
        return None if maps is None else (point_reach(maps[0]), point_reach(maps[1]))

    def add_blob(self, name: str, shape: Shape, filler: Any = None) -> None:
        """Declare the next parameter blob; its storage comes later (from weights or the filler)."""
        if any(d <= 0 for d in shape):
            self.fail(f"parameter '{name}' would have shape {shape}")
        self._check_blob(f"parameter '{name}'", shape)
        self.declared[name] = Blob(shape, filler)
        self.hold_blob(name, self.declared[name])

    def hold_blob(self, name: str, blob: Blob) -> None:
        """Make the parameter an attribute: here only what was declared, in a Net an nn.Parameter."""
        setattr(self, name, blob)

    def add_buffer(self, name: str, make: Callable[[], torch.Tensor]) -> None:
        """A tensor that goes where the parameters go and is not saved; made only where the layer is to run."""

    @classmethod
    def variant(cls, spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
        """The class for this layer, where forks mean different things by one type name; this one by default."""
        return cls

    def options(self, name: str) -> Any:
        """The sub-message `name` of the layer; NetError where the net's dialect has no such options."""
        try:
            return self.spec.options(name)
        except AttributeError:
            self.fail(f"the dialect '{self.context.dialect}' has no {name}; choose one that has it with dialect=")

    def fail(self, message: str) -> NoReturn:
        """NetError naming this layer and where it is written."""
        raise NetError(f"{self.describe()}: {message}")

    def fail_input(self, message: str) -> NoReturn:
        """InputError naming this layer: the net is fine, the data are not."""
        raise InputError(f"{self.describe()}: {message}")

    @property
    def exact(self) -> bool:
        """Whether this layer computes with Caffe's own arithmetic."""
        return self.context.numerics == "exact"

    # --- for the net

    def frozen(self, index: int) -> bool:
        """Whether blob `index` is never learnt, whatever the prototxt says (running statistics)."""
        return False

    @property
    def blobs(self) -> list[nn.Parameter]:
        """Parameters in Caffe's blob order."""
        return list(self._parameters.values())  # type: ignore[arg-type]

    def describe(self) -> str:
        return f"{self.spec.where}: layer '{self.spec.name}' ({self.spec.type})"

    def extra_repr(self) -> str:
        return f"{self.spec.type}: {', '.join(self.spec.bottoms)} -> {', '.join(self.spec.tops)}"

    def _check_blob(self, what: str, shape: Shape) -> None:
        if len(shape) > MAX_AXES:
            self.fail(f"{what} would have {len(shape)} axes; a Caffe blob has at most {MAX_AXES}")
        if any(d < 0 for d in shape):
            self.fail(f"{what} would have shape {shape}")
        if math.prod(shape) > MAX_COUNT:
            self.fail(f"{what} would have shape {shape}; a Caffe blob holds at most {MAX_COUNT} values")

    def _check_count(self, what: str, found: int, limits: tuple[int, int | None]) -> None:
        low, high = limits
        if found < low or (high is not None and found > high):
            wanted = str(low) if low == high else f"{low} or more" if high is None else f"{low} to {high}"
            self.fail(f"has {found} {what}(s), takes {wanted}")


def spatial(
    layer: Layer,
    options: Any,
    name: str,
    count: int,
    *,
    default: int | None,
    h: str | None = None,
    w: str | None = None,
) -> tuple[int, ...]:
    """A spatial option for `count` axes: `name` once (for all) or once per axis, or for two axes its `_h`/`_w` forms.

    Both forms at once are refused.
    """
    h_name, w_name = h or f"{name}_h", w or f"{name}_w"
    both = getattr(options, name)
    values = [int(v) for v in (both if isinstance(both, list) else [both] if options.has(name) else [])]
    split = [f for f in (h_name, w_name) if options.has(f)]
    if values and split:
        layer.fail(f"gives both {name} and {split[0]}; give {name}, or {h_name} and {w_name}")
    if split and count != 2:
        layer.fail(f"gives {split[0]} for {count} spatial axes; it is for two, give {name} {count} times")
    if split:
        if len(split) == 1 and default is None:
            layer.fail(f"gives {split[0]} only; {h_name} and {w_name} go together")
        fallback = 0 if default is None else default
        return tuple(int(getattr(options, f)) if options.has(f) else fallback for f in (h_name, w_name))
    if not values:
        if default is None:
            layer.fail(f"{name} is missing; give {name}, or {h_name} and {w_name}")
        return (default,) * count
    if len(values) not in (1, count):
        layer.fail(f"gives {len(values)} values of {name}; {count}-D layers take one or {count}")
    return tuple(values) if len(values) == count else (values[0],) * count


def pair(
    layer: Layer, options: Any, name: str, *, default: int | None, h: str | None = None, w: str | None = None
) -> tuple[int, int]:
    """`spatial` for (h, w)."""
    high, wide = spatial(layer, options, name, 2, default=default, h=h, w=w)
    return high, wide


Sizes = TypeVar("Sizes", bound=tuple[int, ...])


def at_least(layer: Layer, name: str, values: Sizes, least: int) -> Sizes:
    """The sizes again, or NetError if one of them is too small."""
    if min(values) < least:
        layer.fail(f"{name} is {'x'.join(map(str, values))}, must be at least {least}")
    return values


def need_4d(layer: Layer, shape: Shape) -> tuple[int, int, int, int]:
    """The shape as N, C, H, W, or NetError."""
    if len(shape) != 4:
        layer.fail(f"bottom '{layer.spec.bottoms[0]}' has shape {shape}, expected 4 axes (N, C, H, W)")
    return shape


def axis_of(layer: Layer, value: int, rank: int, name: str = "axis") -> int:
    """An axis option counted from the front, or NetError; -1 is the last."""
    if not -rank <= value < rank:
        layer.fail(f"{name} {value} is outside the bottom's {rank} axes")
    return value % rank


def option(options: Any, name: str, default: Any) -> Any:
    """An option that only some dialects have: its value (the schema's default where unset), else `default`."""
    return getattr(options, name) if name in options.message_type.fields else default


def filler_of(options: Any, name: str, default: float = 0.0) -> Any:
    """The filler message `name`, or the constant that stands in where the prototxt gives none."""
    return getattr(options, name) if option(options, name, None) is not None and options.has(name) else default
