"""Fields of a Recipe given as text, as ``--set field=value`` on the command line gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

from repro.errors import InputError
from repro.papers.deconvnet.recipe import Recipe

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with fields replaced: ``with_settings(recipe, ["min_side=0", "crf=none", "mean_bgr=104,117,123"])``.

    Whole numbers, decimals, names, true/false, none where a field may be None, three numbers with commas for the mean.
    InputError for an unknown field, a field set twice, and a value that is not of the field's kind.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        name = name.strip()
        if not separator or not text.strip():
            raise InputError(f"--set {setting}: FIELD=VALUE expected, e.g. min_side=0")
        if name not in recipe_fields():
            raise InputError(f"--set {setting}: no field '{name}' in a recipe; there are {', '.join(recipe_fields())}")
        if name in changes:
            raise InputError(f"--set {setting}: '{name}' is already set")
        changes[name] = _value(name, text.strip())
    return dataclasses.replace(recipe, **changes)


def recipe_fields() -> list[str]:
    """The fields that can be set: all but the recipe's name."""
    return [field.name for field in dataclasses.fields(Recipe) if field.name != "name"]


def _value(name: str, text: str) -> Any:
    hint = get_type_hints(Recipe)[name]
    choices = get_args(hint)
    if type(None) in choices and text.lower() == "none":
        return None
    if hint is bool:
        if text.lower() not in _WORDS:
            raise InputError(f"--set {name}={text}: true or false expected")
        return _WORDS[text.lower()]
    try:
        if hint is int or int in choices:
            return int(text)
        if hint is float:
            return float(text)
        if hint == tuple[float, float, float]:
            return tuple(float(part) for part in text.split(","))
    except ValueError:
        kind = {"mean_bgr": "three numbers with commas between", "enlarge": "a number"}.get(name, "a whole number")
        raise InputError(f"--set {name}={text}: {kind} expected") from None
    return text
