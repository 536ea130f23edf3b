"""`repro papers` and `repro segment --model NAME`: what they print, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.cli.main import main
from repro.cli.segment_files import find_jobs, write_labels
from repro.papers import gallery, registry
from repro.papers.inference.scales import MultiScale


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)).save(path)
    return path


def test_status_table_names_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for system in registry.systems():
        for network in system.networks:
            assert any({network.name, f"{network.parameters:,}", "equal"} <= set(line.split()) for line in lines)


def test_wrong_count_is_said_and_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    system = registry.system("fcn")
    changed = dataclasses.replace(system.networks[-1], parameters=7)
    monkeypatch.setattr(registry, "systems", lambda: iter([dataclasses.replace(system, networks=(changed,))]))
    assert main(["papers"]) == 1
    assert "481,063 parameters counted, 7 expected" in capsys.readouterr().err


@pytest.mark.parametrize("name", registry.SYSTEMS)
def test_page_has_every_published_row(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers", name]) == 0
    text = capsys.readouterr().out
    for table in registry.system(name).published:
        assert table.name in text
        assert all(row in text for row, _ in table.rows)
    for measured in registry.system(name).measured:
        assert measured.how in text


def test_unknown_system_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers", "fnc"]) == 2
    assert "fcn" in capsys.readouterr().err


def test_shipped_weights_label_a_photograph(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(photograph), "-o", str(tmp_path / "out"), "--model", "fcn8s_mini"]) == 0
    assert "a.png: fcn8s_mini, mini weights fcn8s_mini.caffemodel" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "a.png") as labels:
        assert labels.size == (56, 40)
    assert (tmp_path / "out" / "overlays" / "a.png").is_file()


def test_seeded_weights_are_named_everywhere(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["segment", str(photograph), "-o", str(out), "--model", "fcn8s_mini", "--weights", "seed:7"]
    assert main(command) == 0
    assert "seeded weights (seed 7), so the labels mean nothing" in capsys.readouterr().out
    assert sorted(p.name for p in out.rglob("*.png")) == ["a.seeded.png", "a.seeded.png"]
    first = (out / "a.seeded.png").read_bytes()
    assert main(command) == 0
    assert (out / "a.seeded.png").read_bytes() == first


def test_seeded_weights_of_deconvnets_pipeline(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["segment", str(photograph), "-o", str(out), "--max-proposals", "2", "--no-crf", "--weights", "seed:3"]
    assert main(command) == 0
    assert "mini: seeded weights (seed 3), so the labels mean nothing" in capsys.readouterr().out
    assert sorted(p.name for p in out.rglob("*.png")) == ["a.seeded.png", "a.seeded.png"]


def test_gallery_says_whose_weights_they_are(photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(gallery, "montage", lambda rows, names: said.extend(names) or np.zeros((9, 9, 3), np.uint8))
    _, mini = registry.network("fcn8s_mini")
    unknown = dataclasses.replace(mini, name="other", weights="")
    monkeypatch.setattr(registry, "network", lambda name: (None, mini if name == mini.name else unknown))
    command = ["gallery", str(photograph), "-o", str(tmp_path / "all.png"), "--network", "fcn8s_mini", "other"]
    monkeypatch.setattr("sys.argv", command)
    gallery.main()
    assert said == ["photograph", "fcn8s_mini (mini)", "other (seeded, 7)"]
    assert (tmp_path / "all.png").is_file()


def test_gallery_goes_on(photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(gallery, "picture", lambda network, image, seed, one: made.append(network.name) or image)
    command = ["gallery", str(photograph), "-o", str(tmp_path / "all.png"), "--network", "fcn8s_mini", "fcn8s"]
    command += ["--parts", str(tmp_path / "parts")]
    for more, count in (([], 2), ([], 2), (["--side", "20"], 4), (["--one-scale"], 6), (["--seed", "8"], 7)):
        monkeypatch.setattr("sys.argv", command + more)
        gallery.main()
        # another seed does not change a network that has its own weights
        assert len(made) == count
    with Image.open(next((tmp_path / "parts").glob("fcn8s_mini-*.png"))) as part:
        assert part.size in ((56, 40), (20, 14))


def test_gallery_of_the_cheapest() -> None:
    _, psp = registry.network("pspnet50_ade20k")
    assert psp.inference is not None
    strategy = gallery.cheapest(psp.inference).strategy
    assert isinstance(strategy, MultiScale)
    assert strategy.scales == (0.5,)
    _, fcn = registry.network("fcn8s")
    assert fcn.inference is not None
    assert gallery.cheapest(fcn.inference) is fcn.inference


def test_pictures_have_the_networks_own_colours(photograph: Path, tmp_path: Path) -> None:
    _, network = registry.network("fcn8s_mini")
    changed = dataclasses.replace(network, colours=((9, 8, 7), (6, 5, 4)), classes=("sky", "building"))
    image = np.zeros((4, 6, 3), np.uint8)
    labels = np.array([[0, 1] * 3] * 4, np.uint8)
    write_labels(find_jobs([str(photograph)], tmp_path / "out")[0], image, labels, changed)
    with Image.open(tmp_path / "out" / "a.png") as picture:
        assert np.array(picture.convert("RGB"))[0, :2].tolist() == [[9, 8, 7], [6, 5, 4]]
    # sky is a class, not background: it is painted too
    with Image.open(tmp_path / "out" / "overlays" / "a.png") as picture:
        assert np.array(picture)[1, 2].any()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "fcn8"], "model 'fcn8': there are"),
        (["--model", "fcn8s_mini", "--ensemble"], "--ensemble: of use to DeconvNet's pipeline only"),
        (["--model", "fcn8s_mini", "--set", "min_side=1"], "--set"),
        (["--model", "fcn8s_mini", "--weights", "seed:x"], "a seed is a whole number"),
        (["--model", "fcn8s_mini", "--device", "abacus"], "abacus"),
        (["--model", "fcn8s_mini", "--numerics", "vague"], "numerics 'vague'"),
        (["--weights", "seed:1.5"], "a seed is a whole number"),
        (["--model", "fcn8s_mini", "--weights", "none.caffemodel"], "none.caffemodel: no such file"),
        (["--model", "fcn8s_2014"], "fcn-8s-pascal.caffemodel is not in weights/"),
    ],
)
def test_refused(
    more: list[str], said: str, photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(photograph), "-o", str(tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
