"""What a dialect is made of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dialect:
    """One fork: ``table`` over BVLC's, ``v1_types`` (V1 enum name to V2 type), ``types`` (the V2 types it adds)."""

    name: str
    about: str
    table: str
    v1_types: dict[str, str] = field(default_factory=dict)
    types: str = ""
