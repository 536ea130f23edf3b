import math

import pytest

from repro.errors import InputError
from repro.report.table import class_rows, markdown_table, percent, text_table


def test_columns_line_up() -> None:
    rows = class_rows({"IoU": [91.25, math.nan], "with CRF": [8.0, 100.0]}, names=("background", "cat"))
    assert text_table(rows).splitlines() == [
        "class        IoU  with CRF",
        "----------  ----  --------",
        "background  91.2       8.0",
        "cat            –     100.0",
    ]


def test_markdown_aligns_numbers_to_the_right_and_escapes_bars() -> None:
    assert markdown_table([["a|b", "x"], ["c", "1.0"]]).splitlines() == [
        "| a\\|b |   x |",
        "| ---- | --: |",
        "| c    | 1.0 |",
    ]


def test_percent() -> None:
    assert percent(69.649, 2) == "69.65"
    assert percent(math.nan) == "–"


def test_misshapen_tables_are_refused() -> None:
    with pytest.raises(InputError, match="2 scores for 21 classes"):
        class_rows({"x": [1.0, 2.0]})
    with pytest.raises(InputError, match="one length"):
        text_table([["a"], ["b", "c"]])
    with pytest.raises(InputError, match="at least one"):
        markdown_table([])
