"""Pictures whose labels tell what became of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_pictures(tmp_path: Path) -> Callable[[int], Path]:
    """Write so many pictures N.png of 18 x 12 and N_label.png, a function of their pixels (blue // 16); the folder."""

    def write(count: int) -> Path:
        rng = np.random.default_rng(0)
        for i in range(count):
            picture = rng.integers(0, 256, (12, 18, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
            cv2.imwrite(str(tmp_path / f"{i}_label.png"), picture[..., 0] // 16)
        return tmp_path

    return write
