"""The published tables as data: no column of them is empty, and a mean is that of its row."""

from __future__ import annotations

import pytest

from repro.papers import registry
from repro.papers.system import Table
from repro.report.palette import VOC_CLASSES

TABLES = [(f"{system.name}: {table.name}", table) for system in registry.systems() for table in system.published]


@pytest.mark.parametrize("table", [table for _, table in TABLES], ids=[name for name, _ in TABLES])
def test_every_column_has_a_number(table: Table) -> None:
    for place, column in enumerate(table.columns):
        assert any(cells[place] is not None for _, cells in table.rows), column


def test_means_leave_a_plausible_background() -> None:
    checked = 0
    for name, table in TABLES:
        if table.columns[-1] != "mean" or len(table.columns) != len(VOC_CLASSES):
            continue
        for row, cells in table.rows:
            values = [cell for cell in cells if isinstance(cell, (int, float))]
            if len(values) == len(VOC_CLASSES):
                # twenty classes are printed and the mean is over them and the background
                background = 21 * values[-1] - sum(values[:-1])
                assert 88 < background < 100, f"{name}: {row}"
                checked += 1
    assert checked >= 37
