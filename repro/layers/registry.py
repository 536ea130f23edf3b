"""Layer classes by Caffe type name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from repro.errors import UnsupportedError

if TYPE_CHECKING:
    from repro.caffe import LayerSpec
    from repro.layers.base import Layer, Shape

    LayerClass = TypeVar("LayerClass", bound=type[Layer])

_REGISTRY: dict[str, type[Layer]] = {}


def register(*types: str) -> Callable[[LayerClass], LayerClass]:
    """Class decorator: this class builds layers of these Caffe types (V2 spelling). A second claim raises."""

    def claim(cls: LayerClass) -> LayerClass:
        for name in types:
            if name in _REGISTRY:
                raise RuntimeError(f"layer type '{name}' is claimed by {_REGISTRY[name].__name__} and {cls.__name__}")
            _REGISTRY[name] = cls
        return cls

    return claim


def layer_class(spec: LayerSpec, bottom_shapes: Sequence[Shape] = ()) -> type[Layer]:
    """The class for one layer with bottoms of these shapes.

    UnsupportedError where there is none (use `require_all` for a whole net).
    """
    require_all([spec])
    return _REGISTRY[spec.type].variant(spec, bottom_shapes)


def require_all(layers: Iterable[LayerSpec]) -> None:
    """UnsupportedError naming every layer of an unknown type at once, with file and line."""
    unknown = [spec for spec in layers if spec.type not in _REGISTRY]
    if unknown:
        listed = "; ".join(f"'{s.name}' ({s.type}) at {s.where}" for s in unknown[:12])
        more = f" and {len(unknown) - 12} more" if len(unknown) > 12 else ""
        raise UnsupportedError(
            f"{len(unknown)} layer(s) of unsupported type: {listed}{more}; supported: {', '.join(supported_types())}"
        )


def require_exact(layers: Iterable[LayerSpec]) -> None:
    """UnsupportedError naming every layer whose type has no bit-exact form at once, with file and line."""
    without = [spec for spec in layers if not layer_class(spec).has_exact]
    if without:
        listed = "; ".join(f"'{s.name}' ({s.type}) at {s.where}" for s in without[:12])
        more = f" and {len(without) - 12} more" if len(without) > 12 else ""
        exact = ", ".join(name for name in supported_types() if _REGISTRY[name].has_exact)
        raise UnsupportedError(
            f"{len(without)} layer(s) of a type without a bit-exact form: {listed}{more}; use numerics 'native', or "
            f"keep to: {exact}"
        )


def supported_types() -> list[str]:
    """All registered Caffe layer types, sorted."""
    return sorted(_REGISTRY)
