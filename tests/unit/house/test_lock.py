"""The lock pins what pyproject.toml asks for, exactly, and names no registry."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[3]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def lines() -> list[str]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins(python: str) -> dict[str, str]:
    """Package -> version that the lock installs on a Python."""
    found: dict[str, str] = {}
    for requirement in map(Requirement, lines()):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[name] = specifier.version
    return found


def test_no_registry_and_no_path() -> None:
    for line in lines():
        assert not line.startswith("-"), line
        assert "://" not in line, line
        assert " @ " not in line, line


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_bounds(python: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["dev"], *extras["figures"]]
    locked = pins(python)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            version = locked.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not in the lock for Python {python}"
            assert version in requirement.specifier, f"{requirement}, locked at {version}"


def test_torch_is_pinned_without_a_local_version() -> None:
    assert [line for line in lines() if line.startswith("torch==")] == ["torch==2.13.0"]
