"""`repro segment` from picture files to label pictures, with an untrained mini network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from repro import Net, paths
from repro.cli.main import main
from repro.papers.deconvnet.models import FCN_MODELS, MODELS


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mini.caffemodel"
    Net(paths.prototxt("deconvnet_mini/deploy"), seed=3).save(path)
    return path


def photograph(path: Path, seed: int = 0, size: tuple[int, int] = (70, 90)) -> Path:
    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), rng.integers(0, 100, 3), np.uint8)
    image[10:60, 15:75] = rng.integers(150, 255, 3)
    Image.fromarray(image).save(path)
    return path


def arguments(tmp_path: Path, weights: Path, *more: str) -> list[str]:
    return ["segment", "-o", str(tmp_path / "out"), "--weights", str(weights), "--max-proposals", "3", *more]


def labels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == "P"
        return np.array(picture)


def test_labels_and_overlays_are_written(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = photograph(tmp_path / "a.png"), photograph(tmp_path / "b.jpg", 1, (64, 64))
    assert main([*arguments(tmp_path, weights), str(a), str(b)]) == 0
    out = capsys.readouterr().out
    assert "a.png: 3 windows scored of" in out
    assert "gradient edges" in out
    assert "s per proposal, CRF" in out
    assert labels(tmp_path / "out" / "a.png").shape == (70, 90)
    assert labels(tmp_path / "out" / "b.png").shape == (64, 64)
    assert {p.name for p in (tmp_path / "out" / "overlays").iterdir()} == {"a.png", "b.png"}
    again = labels(tmp_path / "out" / "a.png")
    assert main([*arguments(tmp_path, weights, "--batch-size", "2"), str(a)]) == 0
    np.testing.assert_array_equal(labels(tmp_path / "out" / "a.png"), again)


@pytest.mark.parametrize("recipe", ["release", "release_matlab", "paper"])
def test_cached_proposals_and_recipes(
    tmp_path: Path, weights: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = photograph(tmp_path / "a.png")
    scipy.io.savemat(tmp_path / "a.mat", {"boxes_padded": np.array([[80, 95, 150, 160], [75, 92, 140, 155]])})
    more = ("--proposals", str(tmp_path), "--recipe", recipe, "--no-crf")
    assert main([*arguments(tmp_path, weights, *more), str(image)]) == 0
    assert "3 windows scored of 2 proposals (cached)" in capsys.readouterr().out
    assert labels(tmp_path / "out" / "a.png").shape == (70, 90)


def test_no_proposal_is_background_and_a_warning(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = photograph(tmp_path / "a.png")
    assert main([*arguments(tmp_path, weights, "--max-proposals", "0"), str(image)]) == 0
    assert "warning" in capsys.readouterr().err
    assert not labels(tmp_path / "out" / "a.png").any()


def test_bad_input_is_one_line_and_status_2(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = photograph(tmp_path / "a.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    (tmp_path / "sub").mkdir()
    twin = photograph(tmp_path / "sub" / "a.jpg")
    cases = [
        ([str(good), str(tmp_path / "bad.jpg")], "bad.jpg"),
        ([str(good), str(tmp_path / "none.jpg")], "none.jpg"),
        ([str(good), str(twin)], "a.png"),
        ([str(good), "-o", str(tmp_path)], "overwritten"),
        ([str(good), "-o", str(good)], "not a folder"),
        ([str(good), "--proposals", str(tmp_path / "nowhere")], "nowhere"),
        ([str(good), "--proposals", str(tmp_path)], "a.mat"),
        ([str(good), "--edge-model", str(tmp_path / "none.yml.gz")], "none.yml.gz"),
        ([str(good), "--batch-size", "0"], "batch_size"),
        ([str(good), "--weights", str(tmp_path / "bad.jpg")], "bad.jpg"),
        ([str(good), "--weights", str(tmp_path / "none.caffemodel")], "none.caffemodel"),
        ([str(good), "--device", "nonsense"], "nonsense"),
    ]
    for more, text in cases:
        assert main([*arguments(tmp_path, weights), *more]) == 2, more
        err = capsys.readouterr().err
        assert text in err, more
        assert err.startswith("repro: "), more
        assert err.count("\n") == 1, more
    assert not (tmp_path / "out").exists()


def test_missing_originals_are_said_to_be_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if (Path(paths.prototxt("deconvnet/deploy")).parents[2] / "weights" / MODELS["deconvnet"].weights).exists():
        pytest.skip("the authors' weights are here")
    image = photograph(tmp_path / "a.png")
    assert main(["segment", str(image), "-o", str(tmp_path / "out"), "--model", "deconvnet"]) == 2
    assert "--weights" in capsys.readouterr().err


def test_ensemble_and_single_fields(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = photograph(tmp_path / "a.png")
    fcn = tmp_path / "fcn.caffemodel"
    Net(paths.prototxt(FCN_MODELS["mini"].prototxt), seed=5).save(fcn)
    plain = arguments(tmp_path, weights, "--no-crf", str(image))
    assert main(plain) == 0
    alone = labels(tmp_path / "out" / "a.png")
    assert main([*plain, "--fcn-weights", str(fcn)]) == 0
    together = labels(tmp_path / "out" / "a.png")
    assert (alone != together).any()
    assert main([*plain, "--fcn-weights", str(fcn), "--set", "ensemble=none"]) == 0
    np.testing.assert_array_equal(labels(tmp_path / "out" / "a.png"), alone)
    assert main([*plain, "--set", "ensemble=nothing"]) == 2
    assert "ensemble='nothing'" in capsys.readouterr().err
