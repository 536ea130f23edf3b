"""Layer classes by Caffe type name."""

from __future__ import annotations

import difflib
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
    if not unknown:
        return
    near = {
        spec.type: close[0] for spec in unknown if (close := difflib.get_close_matches(spec.type, _REGISTRY, 1, 0.8))
    }
    hint = "".join(f"; did you mean {right!r} for {wrong!r}?" for wrong, right in near.items())
    raise UnsupportedError(
        f"{len(unknown)} layer(s) of unsupported type: {_listed(unknown)}{hint}; give the type a class of your own "
        "with repro.layers.register, or take the layer out of the file; docs/layers.md lists what is built"
    )


def _listed(layers: Sequence[LayerSpec]) -> str:
    more = f" and {len(layers) - 12} more" if len(layers) > 12 else ""
    return "; ".join(f"'{s.name}' ({s.type}) at {s.where}" for s in layers[:12]) + more


def require_exact(layers: Iterable[LayerSpec]) -> None:
    """UnsupportedError naming every layer whose type has no bit-exact form at once, with file and line."""
    without = [spec for spec in layers if not layer_class(spec).has_exact]
    if without:
        exact = ", ".join(name for name in supported_types() if _REGISTRY[name].has_exact)
        raise UnsupportedError(
            f"{len(without)} layer(s) of a type without a bit-exact form: {_listed(without)}; use numerics 'native', "
            f"or keep to: {exact}"
        )


def supported_types() -> list[str]:
    """All registered Caffe layer types, sorted."""
    return sorted(_REGISTRY)
