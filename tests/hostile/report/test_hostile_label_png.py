import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.errors import FormatError
from repro.report.palette import encode_label_png, load_label_png


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_every_truncation_is_an_error_of_ours(tmp_path: Path) -> None:
    whole = encode_label_png(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for length in range(0, len(whole) - 8, 7):
        (tmp_path / "a.png").write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"a\.png"):
            load_label_png(tmp_path / "a.png")


def test_a_header_that_claims_the_moon(tmp_path: Path) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 15, 1 << 15, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(FormatError, match=r"a\.png"):
        load_label_png(tmp_path / "a.png")


def test_a_jpeg_under_a_png_name(tmp_path: Path) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(FormatError, match="not a readable PNG"):
        load_label_png(tmp_path / "a.png")


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\x89PNG\r\n\x1a\n"])
def test_noise(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(FormatError, match=r"a\.png"):
        load_label_png(tmp_path / "a.png")


def test_missing_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        load_label_png(tmp_path / "none.png")
    with pytest.raises(FormatError, match="cannot be read"):
        load_label_png(tmp_path)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((3, 3), 300, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match="16 bits"):
        load_label_png(tmp_path / "a.png")
