"""Prototxts that are templates: ``${NAME}`` or a bare NAME stands where a script puts a value before Caffe reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from repro.caffe.message import Where
from repro.errors import FormatError, InputError

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")
_NAME = re.compile(r"[A-Za-z_]\w*")
_PLACES = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<string>"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"|'[^'\\\n]*(?:\\[^\n][^'\\\n]*)*')
    |\$\{(?P<braced>[A-Za-z_]\w*)\}
    |(?P<bare>[A-Za-z_]\w*)(?P<after>[ \t]*[:{<])?""",
    re.VERBOSE,
)
_BRACED = re.compile(r"\$\{([A-Za-z_]\w*)\}")


class TemplateError(FormatError):
    """A template whose variables have no values; ``variables`` are their names."""

    def __init__(self, text: str, variables: tuple[str, ...]) -> None:
        super().__init__(text)
        self.variables = variables


def fill_in(text: str, values: Mapping[str, object], name: str = "<text>") -> str:
    """The text with the variables replaced: ``${NAME}`` anywhere, a bare NAME where a value or a line stands.

    Names of fields and comments stay. Values are put in as ``str`` writes them; InputError for a name that is no
    word, and for variables that the text does not have.
    """
    wanted = {key: str(value) for key, value in values.items()}
    for key in wanted:
        if not _NAME.fullmatch(key):
            raise InputError(f"the template variable {key!r} is no name; expected letters, digits and '_'")
    used: set[str] = set()

    def braced(match: re.Match[str]) -> str:
        if match[1] not in wanted:
            return match[0]
        used.add(match[1])
        return wanted[match[1]]

    def one(match: re.Match[str]) -> str:
        if match["comment"] is not None:
            return match[0]
        if match["string"] is not None:
            return _BRACED.sub(braced, match[0])
        key = match["braced"] or match["bare"]
        if match["after"] is not None or key not in wanted:
            return match[0]
        used.add(key)
        return wanted[key]

    filled = _PLACES.sub(one, text)
    unused = sorted(wanted.keys() - used)
    if unused:
        raise InputError(f"{name}: has no variable {', '.join(unused)} to define")
    return filled


def missing(holes: Sequence[tuple[str, Where]]) -> TemplateError:
    """The error that names every variable without a value, where it stands first, and the way to give it one."""
    first: dict[str, Where] = {}
    for name, where in holes:
        first.setdefault(name, where)
    listed = ", ".join(f"{name} at line {where.line}" for name, where in first.items())
    example = next(iter(first))
    return TemplateError(
        f"{next(iter(first.values()))}: a template with {len(first)} variable(s) to fill in: {listed}; "
        f"give each a value, define={{{example!r}: ...}} or --define {example}=VALUE",
        tuple(first),
    )
