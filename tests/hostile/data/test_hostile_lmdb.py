"""Damaged LMDB databases and Datums end in our errors."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from repro.caffe.datum import read_datum, write_datum
from repro.data.lmdb_file import LmdbFile
from repro.errors import DataError, FormatError, ReproError


@pytest.mark.parametrize("name", ["deep", "pixels", "encoded"])
def test_turned_bytes_and_cut_files(name: str, golden_data: Path, tmp_path: Path) -> None:
    whole = (golden_data / "feeds_bvlc" / f"{name}.mdb" / "data.mdb").read_bytes()
    path = tmp_path / "data.mdb"
    rng = random.Random(2)
    refused = 0
    for number in range(150):
        data = bytearray(whole[: rng.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(0 if number % 3 == 0 else 4):
            # where the structure is: the heads of pages and the nodes behind them
            at = rng.randrange(len(data) // 4096) * 4096 + rng.randrange(64)
            data[at] = rng.randrange(256)
        path.write_bytes(data)
        try:
            file = LmdbFile(tmp_path)
            for place in range(min(len(file), 20)):
                read_datum(file[place], "here")
        except ReproError:
            refused += 1
    assert refused > 50


def test_a_page_that_leads_to_itself(golden_data: Path, tmp_path: Path) -> None:
    data = bytearray((golden_data / "feeds_bvlc" / "deep.mdb" / "data.mdb").read_bytes())
    for page in range(2, len(data) // 4096):
        at = page * 4096
        if data[at + 10] & 1:
            node = int.from_bytes(data[at + 16 : at + 18], "little")
            data[at + node : at + node + 8] = page.to_bytes(4, "little") + b"\0\0\0\0"
    (tmp_path / "data.mdb").write_bytes(data)
    with pytest.raises(FormatError, match="reached twice"):
        LmdbFile(tmp_path)


def test_what_is_no_database(tmp_path: Path, golden_data: Path) -> None:
    with pytest.raises(DataError, match="no such database"):
        LmdbFile(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"")
    with pytest.raises(FormatError, match="empty"):
        LmdbFile(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"x" * 9000)
    with pytest.raises(FormatError, match="not an LMDB"):
        LmdbFile(tmp_path)
    shutil.copy(golden_data / "feeds_bvlc" / "floats.mdb" / "data.mdb", tmp_path / "data.mdb")
    assert len(LmdbFile(tmp_path / "data.mdb")) == 5


def test_datums_come_back_and_false_sizes_do_not() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    found = read_datum(write_datum(pixels, 9), "here")
    assert found.label == 9
    np.testing.assert_array_equal(found.pixels, pixels)
    floats = np.linspace(-1, 1, 1_200_000, dtype=np.float32).reshape(3, 400, 1000)
    np.testing.assert_array_equal(read_datum(write_datum(floats), "here").pixels, floats)
    for shape in (b"\x08\xff\xff\xff\xff\x07", b"\x08\x00", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"):
        with pytest.raises(FormatError, match="here"):
            read_datum(shape + write_datum(pixels)[2:], "here")
    with pytest.raises(FormatError, match="here: 24 values for a picture of"):
        read_datum(write_datum(pixels) + b"\x08\x03", "here")
