"""Which function writes which layer class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from repro.export.builder import Builder, CannotExport, Place, Value
from repro.layers import Layer

Rule = Callable[[Builder, Place], Sequence[Value]]
RuleType = TypeVar("RuleType", bound=Rule)
_RULES: dict[type[Layer], Rule] = {}


def writes(*classes: type[Layer]) -> Callable[[RuleType], RuleType]:
    """Function decorator: this function writes layers of these classes and returns one value per top."""

    def claim(rule: RuleType) -> RuleType:
        _RULES.update(dict.fromkeys(classes, rule))
        return rule

    return claim


def rule_for(layer: Layer) -> Rule:
    """The rule of the layer's class or the nearest class above; CannotExport where there is none."""
    for cls in type(layer).__mro__:
        if cls in _RULES:
            return _RULES[cls]
    raise CannotExport("the type has no form in standard operators here")
