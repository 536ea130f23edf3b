"""Scores kept on disk: the same bits back, within a bound, and never anything damaged."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from repro.errors import InputError
from repro.papers.deconvnet.table1.score_cache import ScoreCache, array_digest, cache_key, size_text

RNG = np.random.default_rng(0)


def scores(height: int = 9, width: int = 7, channels: int = 21) -> np.ndarray:
    return RNG.normal(size=(height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("shape", [(9, 7, 21), (1, 1, 1), (0, 5, 21), (300, 200, 2)])
def test_the_same_bits_come_back(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    cache = ScoreCache(tmp_path / "cache", 10**9)
    stored = scores(*shape)
    stored.reshape(-1)[:3] = np.array([np.inf, -0.0, np.float32(1e-45)])[: min(3, stored.size)]
    assert cache.get("a") is None
    cache.put("a", stored, {"windows": 4})
    found = cache.get("a")
    assert found is not None
    assert found.scores.tobytes() == stored.tobytes()
    assert found.scores.shape == shape
    assert found.note == {"windows": 4}
    assert (cache.hits, cache.misses, cache.damaged) == (1, 1, 0)


def test_what_repeats_is_smaller(tmp_path: Path) -> None:
    stored = np.maximum(scores(100, 100), 0)
    ScoreCache(tmp_path, 10**9).put("a", stored)
    assert (tmp_path / "a.scores").stat().st_size < 0.7 * stored.nbytes


def test_any_damaged_byte_is_a_miss(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path, 10**9)
    cache.put("a", scores(2, 2, 3))
    path = tmp_path / "a.scores"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.get("a") is None, place
        assert not path.exists(), "and goes"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert cache.get("a") is None
    assert cache.damaged == 2 * len(whole) - 1
    path.write_bytes(whole)
    assert cache.get("a") is not None


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"shape": [1 << 20, 1 << 20, 21], "note": {}}, zlib.compress(b"")),
        ({"shape": [1, 1, 1], "note": {}}, zlib.compress(bytes(1 << 24))),
        ({"shape": [1, 1, 1], "note": 3}, zlib.compress(bytes(4))),
        ({"shape": [1, 1, -1], "note": {}}, zlib.compress(b"")),
        ({"shape": [1, 1], "note": {}}, zlib.compress(bytes(4))),
        ({"shape": "abc", "note": {}}, zlib.compress(bytes(4))),
        ([], zlib.compress(bytes(4))),
        ({"shape": [1, 1, 1], "note": {}}, b"no zlib"),
    ],
)
def test_a_file_made_to_harm_is_a_miss(tmp_path: Path, header: object, payload: bytes) -> None:
    text = json.dumps(header).encode()
    rest = len(text).to_bytes(4, "little") + text + payload
    (tmp_path / "a.scores").write_bytes(b"REPROSC1" + hashlib.sha256(rest).digest() + rest)
    cache = ScoreCache(tmp_path, 10**9)
    assert cache.get("a") is None
    assert cache.damaged == 1


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    ScoreCache(tmp_path, 10**9).put("size", scores())
    size = (tmp_path / "size.scores").stat().st_size
    (tmp_path / "size.scores").unlink()
    cache = ScoreCache(tmp_path, int(3.5 * size))
    for age, name in enumerate("abc"):
        cache.put(name, scores())
        os.utime(tmp_path / f"{name}.scores", (age, age))
    assert cache.get("a") is not None
    cache.put("d", scores())
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= cache.limit


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "cache", 100)
    cache.put("a", scores())
    none = ScoreCache(tmp_path / "cache", 0)
    none.put("a", scores())
    assert none.get("a") is None
    assert not (tmp_path / "cache").exists()
    with pytest.raises(InputError):
        ScoreCache(tmp_path, -1)
    with pytest.raises(InputError, match="float32"):
        ScoreCache(tmp_path, 10**9).put("a", scores().astype(np.float64))  # type: ignore[arg-type]


def test_a_full_disk_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("repro.papers.deconvnet.table1.score_cache.write_atomic", full)
    cache = ScoreCache(tmp_path, 10**9)
    with pytest.warns(UserWarning, match="No space left"):
        cache.put("a", scores())
    cache.put("b", scores())
    assert cache.get("a") is None


def test_keys_name_what_the_scores_come_from() -> None:
    assert cache_key({"a": 1, "b": [2.0]}) == cache_key({"b": [2.0], "a": 1})
    assert cache_key({"a": 1}) != cache_key({"a": 2})
    zeros = np.zeros(4, np.int64)
    assert array_digest(zeros) == array_digest(zeros.copy())
    assert len({array_digest(a) for a in (zeros, zeros.reshape(2, 2), zeros.astype(np.int32), zeros + 1)}) == 4


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (24e9, "24.0 GB"), (5e15, "5000.0 TB")]
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert size_text(count) == text
