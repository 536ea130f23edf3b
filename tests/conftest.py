"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of large reference data beside the checkout; the test is skipped where it is absent."""
    path = ROOT.parent / "shared"
    if not (path / "golden").is_dir():
        pytest.skip(f"the large reference data are not here ({path}); the small ones are in tests/golden/data")
    return path


@pytest.fixture(scope="session")
def golden_data() -> Path:
    """The small reference arrays that are part of the project."""
    return ROOT / "tests" / "golden" / "data"
