"""Which layers of a net take part: ``include`` and ``exclude`` rules against the net's state, as ``Net::FilterNet``."""

from __future__ import annotations

from repro.caffe.message import Message
from repro.errors import FormatError


def meets_rule(state: Message, rule: Message) -> bool:
    """Whether a NetState satisfies a NetStateRule: phase, level bounds, all of ``stage``, none of ``not_stage``."""
    if rule.has("phase") and rule.phase != state.phase:
        return False
    if rule.has("min_level") and state.level < rule.min_level:
        return False
    if rule.has("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def is_included(layer: Message, state: Message) -> bool:
    """Whether a layer (V1 or V2 message) is part of the net in this state.

    Without rules it is; with ``include`` rules if any is met; with ``exclude`` rules if none is met. FormatError where
    a layer has both kinds.
    """
    if layer.has("include") and layer.has("exclude"):
        raise FormatError(
            f"{layer.where}: layer {layer.name!r} has both include and exclude rules; Caffe allows only one kind"
        )
    if layer.has("include"):
        return any(meets_rule(state, rule) for rule in layer.include)
    return not any(meets_rule(state, rule) for rule in layer.exclude)
