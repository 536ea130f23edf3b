"""Search of a CRF's parameters: the grid, the rounds, held-out photographs, going on after a stop, and score files."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro.cli.main import main
from repro.crf import search as module
from repro.crf.grid import Axis, Candidate, Grid, parse_axis
from repro.crf.score_files import read_scores
from repro.crf.search import Sample, Settings, search
from repro.errors import FormatError, InputError
from repro.report.palette import save_label_png

SETTINGS = Settings(classes=3, iterations=2)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Six photographs of three flat areas; scores of the right class under noise that a CRF takes away."""
    folder = tmp_path_factory.mktemp("voc")
    for sub in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation", "scores"):
        (folder / sub).mkdir(parents=True)
    rng = np.random.default_rng(0)
    made = []
    for number in range(6):
        truth = np.zeros((20, 24), np.uint8)
        truth[:, 8 + number :] = 1
        truth[12:, :6] = 2
        colours = np.array([[20, 20, 20], [200, 40, 40], [40, 200, 40]])[truth]
        scores = rng.normal(0, 1.5, (3, 20, 24)) + 2 * (truth[None] == np.arange(3)[:, None, None])
        name = f"p{number}"
        sample = Sample(
            name,
            folder / "JPEGImages" / f"{name}.jpg",
            folder / "SegmentationClass" / f"{name}.png",
            folder / "scores" / f"{name}.npz",
        )
        truth[0] = 255
        Image.fromarray(colours.astype(np.uint8)).save(sample.image, quality=95)
        save_label_png(sample.labels, truth)
        # padded to the right and below, as DeepLab's scores are
        np.savez(sample.scores, scores=np.pad(scores, ((0, 0), (0, 3), (0, 1))).astype(np.float32))
        made.append(sample)
    (folder / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(s.name for s in made))
    return made


@pytest.mark.parametrize(
    ("text", "values", "step"),
    [
        ("50:10:100", (50, 60, 70, 80, 90, 100), 10),
        ("3:0.1:3.4", (3, 3.1, 3.2, 3.3, 3.4), 0.1),
        ("3:6", (3, 4, 5, 6), 1),
        ("5, 10,8", (5, 8, 10), 2),
        ("4", (4,), 2),
    ],
)
def test_axes(text: str, values: tuple[float, ...], step: float) -> None:
    axis = parse_axis(text)
    assert axis.values == values
    assert axis.step == pytest.approx(step)


@pytest.mark.parametrize("text", ["", "a", "1:0:3", "5:1:4", "0:1:3", "-1", "1:2:3:4", "nan", "1:1e-9:10"])
def test_axes_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="grid"):
        parse_axis(text)


def test_the_next_round_is_half_a_step_around_the_best() -> None:
    grid = Grid(Axis((5.0, 10.0), 5.0), Axis((50.0,), 10.0), Axis((3.0,), 6.0)).finer(Candidate(5, 50, 3))
    assert (grid.weight.values, grid.sxy.values, grid.srgb.values) == ((2.5, 5, 7.5), (45, 50, 55), (3, 6))


GRID = Grid(parse_axis("1,4"), parse_axis("10"), parse_axis("20"))


def test_search_finds_what_labels_best_and_goes_on(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    found = search(samples, GRID, SETTINGS, rounds=2, folds=3, journal=tmp_path / "j", step=lambda *s: seen.append(s))
    scores = dict(found.scores)
    assert found.scores[0][1] == max(scores.values()) > found.without
    # round 1 has two candidates; round 2 those of half the step around the better
    assert set(scores) >= {Candidate(1, 10, 20), Candidate(4, 10, 20)}
    assert seen[-1][0] == seen[-1][1] == 6 * (1 + 3 * 3 * 3)
    # the counts of a candidate are those of its labels, photograph by photograph
    crf = SETTINGS.crf(found.best)
    hits = wanted = 0
    for sample in samples:
        image = np.array(Image.open(sample.image))
        truth = np.asarray(Image.open(sample.labels))
        unary = -torch.log_softmax(read_scores(sample.scores)[:, :20, :24], 0)
        labels = crf.map(unary, torch.from_numpy(image), layout="hwc").numpy()
        hits += int(((labels == 1) & (truth == 1)).sum())
        wanted += int((((labels == 1) | (truth == 1)) & (truth != 255)).sum())
    counts = [module._counts(samples, found.best.key, kept(samples, tmp_path / "j"))]
    assert counts[0].pixels[0, 1] == hits
    assert counts[0].pixels[1, 1] + counts[0].pixels[2, 1] - hits == wanted

    def none(self: Settings, candidate: Candidate) -> None:
        raise AssertionError("a labelling was done again")

    monkeypatch.setattr(Settings, "crf", none)
    assert search(samples, GRID, SETTINGS, rounds=2, folds=3, journal=tmp_path / "j") == found


def kept(samples: list[Sample], journal: Path) -> dict[str, object]:
    work = [SETTINGS.__dict__, [[s.name, *module._stamp(s)] for s in samples]]
    return dict(module.Journal(journal, work).done)


def test_held_out_photographs_do_not_choose() -> None:
    samples = [Sample(f"p{n}", Path(), Path(), Path()) for n in range(4)]
    a, b = Candidate(1, 1, 1), Candidate(2, 2, 2)
    # 10 pixels of one class each; a is right in p0 and p2, b in p1, p2 and p3
    right = {"p0": (10, 0), "p1": (0, 9), "p2": (10, 10), "p3": (0, 8)}
    done = {
        f"{s.name} {key}": {"pixels": [[right[s.name][k]], [10], [10]]}
        for s in samples
        for k, key in ((0, a.key), (1, b.key))
    } | {f"{s.name} without": {"pixels": [[5], [10], [10]]} for s in samples}
    found = module._found(samples, {a.key: a, b.key: b}, done, folds=2)
    first, second = found.folds
    # p0 and p2 held out: p1 and p3 choose b, which has 10 of their 20 pixels right
    assert (first.best, first.images, first.here) == (b, 2, pytest.approx(100 * 10 / 30))
    # p1 and p3 held out: p0 and p2 choose a, which has none of theirs
    assert (second.best, second.here) == (a, 0)
    assert found.best == b
    assert found.held_out == pytest.approx(100 * 10 / 70)


def test_several_processes_find_the_same(samples: list[Sample]) -> None:
    grid = Grid(parse_axis("4"), parse_axis("10"), parse_axis("20"))
    alone = search(samples[:2], grid, SETTINGS, rounds=1)
    assert search(samples[:2], grid, SETTINGS, rounds=1, workers=2) == alone


def test_scores_of_another_size(samples: list[Sample], tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.zeros((3, 19, 24), np.float32))
    with pytest.raises(InputError, match=r"shape \(3, 19, 24\); expected 3×20×24"):
        search([samples[0]._replace(scores=tmp_path / "s.npy")], GRID, SETTINGS)


@pytest.mark.parametrize("kind", ["scores", "probs", "unary"])
def test_scores_that_are_no_numbers_are_named(kind: str, samples: list[Sample], tmp_path: Path) -> None:
    scores = np.full((3, 20, 24), 0.25, np.float32)
    scores[1, 2, 3] = np.nan
    np.save(tmp_path / "s.npy", scores)
    with pytest.raises(InputError, match=r"s\.npy: .*(NaN|nan)"):
        search([samples[0]._replace(scores=tmp_path / "s.npy")], GRID, replace(SETTINGS, kind=kind))


def mat(array: np.ndarray, name: str = "data") -> bytes:
    """A level-5 file of one single-precision array, uncompressed."""

    def element(kind: int, body: bytes) -> bytes:
        return struct.pack("<II", kind, len(body)) + body + b"\0" * (-len(body) % 8)

    dims = struct.pack(f"<{array.ndim}i", *array.shape)
    body = element(6, struct.pack("<II", 7, 0)) + element(5, dims) + element(1, name.encode())
    body += element(7, array.astype("<f4").tobytes(order="F"))
    return b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM" + element(14, body)


def test_scores_as_deeplab_writes_them(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)
    (tmp_path / "s.mat").write_bytes(mat(scores.transpose(2, 1, 0)))
    assert np.array_equal(read_scores(tmp_path / "s.mat").numpy(), scores)
    with pytest.raises(FormatError, match="no variable 'x'; the file has 'data'"):
        read_scores(tmp_path / "s.mat", "x")
    (tmp_path / "s.mat").write_bytes(mat(scores)[:-9])
    with pytest.raises(FormatError, match="cut short"):
        read_scores(tmp_path / "s.mat")


def test_command(samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voc = samples[0].image.parents[1]
    command = ["crf-search", "--voc", str(voc), "--scores", str(voc / "scores"), "--classes", "3", "--iterations", "2"]
    command += ["--weight", "1,4", "--sxy", "10", "--srgb", "20", "--rounds", "1", "--limit", "3"]
    command += ["--journal", str(tmp_path / "j")]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "without a CRF" in out
    assert "cross-validation" in out
    assert "best: Bilateral(10, 20, " in out
    (voc / "scores" / "p2.npz").rename(tmp_path / "p2.npz")
    try:
        assert main(command) == 2
        assert "no scores of 1 of 3 photographs, e.g. p2.npz" in capsys.readouterr().err
    finally:
        (tmp_path / "p2.npz").rename(voc / "scores" / "p2.npz")
