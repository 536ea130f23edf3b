"""Proposals on disk and their recall: what is written is what is read, in the frames that are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from repro.cli.main import main
from repro.data.annotations import boxes_from_xml
from repro.data.boxes import enlarge_boxes
from repro.data.photograph import read_photograph
from repro.data.proposal_files import StoredProposals, read_proposals, write_proposals
from repro.data.proposals import EDGE_BOXES_DEFAULTS, Proposals, boxes_from_mat, edge_boxes
from repro.data.recall import Recall
from repro.data.shapes import ShapesConfig, write_shapes
from repro.errors import DataError, FormatError, InputError
from repro.papers.deconvnet.recipe import RECIPES
from repro.papers.deconvnet.sources import box_source
from repro.papers.deconvnet.windows import select_windows

BOXES = np.array([[0, 0, 99, 49], [-5, 3, 20, 300], [7, 7, 7, 7]])
STORED = StoredProposals(
    Proposals(BOXES, np.array([0.5, 0.25, 0.125], np.float32), "gradient"), (120, 160), 1.2, True, EDGE_BOXES_DEFAULTS
)


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "set"
    write_shapes(folder, ShapesConfig(seed=3, images=2, val_fraction=1))  # type: ignore[arg-type]
    return folder


def test_mat_is_the_releases_own(tmp_path: Path) -> None:
    write_proposals(tmp_path / "a.mat", STORED)
    padded = scipy.io.loadmat(tmp_path / "a.mat")
    assert padded["boxes_padded"].dtype == np.float64
    assert str(padded["edge_source"][0]) == "gradient"
    # a photograph of 120 rows lies 120 columns to the right, one of 160 columns 160 rows down; and 1-based
    assert padded["boxes_padded"][2].tolist() == [7 + 121, 7 + 161, 7 + 121, 7 + 161]
    read = boxes_from_mat(tmp_path / "a.mat")
    np.testing.assert_array_equal(read, padded["boxes_padded"])
    windows = select_windows(read, (120, 160), RECIPES["release"], "release")
    expected = enlarge_boxes(BOXES, 1.2, square=True)
    np.testing.assert_array_equal(windows, expected[(expected[:, 2] - expected[:, 0]) >= 111])


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_our_own_files(suffix: str, tmp_path: Path) -> None:
    write_proposals(tmp_path / f"a.{suffix}", STORED)
    read = read_proposals(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read.found.boxes, BOXES)
    np.testing.assert_array_equal(read.found.scores, STORED.found.scores)
    assert (read.image_size, read.enlarge, read.square) == ((120, 160), 1.2, True)
    assert (read.found.edge_source, read.settings) == ("gradient", EDGE_BOXES_DEFAULTS)


@pytest.mark.parametrize("suffix", ["mat", "npz", "json"])
def test_equal_proposals_are_equal_bytes(suffix: str, tmp_path: Path) -> None:
    for name in "ab":
        write_proposals(tmp_path / f"{name}.{suffix}", STORED)
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["mat", "npz", "json"])
def test_no_proposals(suffix: str, tmp_path: Path) -> None:
    none = StoredProposals(Proposals(BOXES[:0], np.zeros(0, np.float32), "gradient"), (9, 9), 1.2, True, {})
    write_proposals(tmp_path / f"a.{suffix}", none)
    found = boxes_from_mat(tmp_path / "a.mat") if suffix == "mat" else read_proposals(tmp_path / f"a.{suffix}").found[0]
    assert found.shape == (0, 4)


def test_matlabs_empty_is_no_list_of_boxes(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"boxes_padded": np.zeros((0, 0))})
    with pytest.raises(FormatError, match=r"a\.mat: boxes_padded has shape \(0, 0\).*no boxes at all"):
        boxes_from_mat(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x"}, "format 'x'"),
        ({"boxes": [[0, 0, None, 1]], "scores": [1]}, "NaN|not finite|nan|number"),
        ({"boxes": [[0, 0, 0.5, 1]], "scores": [1]}, "whole pixels"),
        ({"boxes": [[5, 0, 0, 1]], "scores": [1]}, "row 0"),
        ({"boxes": [[1, 2, 3]], "scores": [1]}, r"\(N, 4\)"),
        ({"scores": [1]}, "3 boxes and scores"),
        ({"image_size": 3}, "not proposals"),
        ({"image_size": None}, "not proposals"),
        ({"edge_boxes": 3}, "not proposals"),
    ],
)
def test_changed_json(change: dict[str, object], said: str, tmp_path: Path) -> None:
    write_proposals(tmp_path / "a.json", STORED)
    told = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({**told, **change}))
    with pytest.raises(FormatError, match=said) as caught:
        read_proposals(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_damaged_files_have_our_error(suffix: str, tmp_path: Path) -> None:
    write_proposals(tmp_path / f"a.{suffix}", STORED)
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    for size in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        (tmp_path / f"b.{suffix}").write_bytes(whole[:size])
        with pytest.raises(FormatError, match=f"b.{suffix}"):
            read_proposals(tmp_path / f"b.{suffix}")
    np.savez(tmp_path / "p.npz", about=np.array({"x": 1}, dtype=object))
    with pytest.raises(FormatError, match=r"p\.npz"):
        read_proposals(tmp_path / "p.npz")
    with pytest.raises(DataError, match="no such file"):
        read_proposals(tmp_path / "none.npz")
    with pytest.raises(InputError, match="written as"):
        write_proposals(tmp_path / "a.txt", STORED)


def test_the_command_and_the_way_back(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = sorted((voc / "JPEGImages").glob("*.jpg"))
    image = read_photograph(photographs[0])
    direct = box_source("edge-boxes").find(photographs[0], image)
    for form in ("mat", "npz", "json"):
        out = tmp_path / form
        command = ["proposals", *map(str, photographs), "-o", str(out), "--format", form, "--top", "0"]
        assert main(command) == 0
        assert "edges: gradient" in capsys.readouterr().out
        source = box_source(str(out))
        source.check(photographs[0])
        found = source.find(photographs[0], image)
        recipe = source.adapt(RECIPES["release"])
        stored = select_windows(found.boxes, image.shape[:2], recipe, found.frame)
        recipe = box_source("edge-boxes").adapt(RECIPES["release"])
        np.testing.assert_array_equal(stored, select_windows(direct.boxes, image.shape[:2], recipe))
    with pytest.raises(InputError, match="proposals of a photograph of"):
        source.find(photographs[0], image[:-1])
    (tmp_path / "json/x.mat").write_bytes(b"")
    with pytest.raises(InputError, match=r"has \.mat and \.json files"):
        box_source(str(tmp_path / "json"))


def test_pictures_and_options(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph = sorted((voc / "JPEGImages").glob("*.jpg"))[0]
    command = [
        "proposals",
        str(photograph),
        "-o",
        str(tmp_path),
        "--format",
        "npz",
        "--alpha",
        "0.5",
        "--max-proposals",
    ]
    assert main([*command, "7"]) == 0
    assert read_photograph(tmp_path / "pictures" / f"{photograph.stem}.png").shape[1] >= 500
    read = read_proposals(tmp_path / f"{photograph.stem}.npz")
    assert read.settings["alpha"] == 0.5
    expected = edge_boxes(read_photograph(photograph), 7, alpha=0.5)
    np.testing.assert_array_equal(read.found.boxes, expected.boxes)


def test_a_picture_too_small_for_a_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save("one.png")
    assert main(["proposals", "one.png", "-o", "out", "--format", "npz"]) == 0
    assert read_proposals(tmp_path / "out" / "one.npz").found.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], "photographs and -o DIR"),
        (["x.jpg"], "photographs and -o DIR"),
        (["--recall"], "--voc DIR"),
        (["x.jpg", "y/x.jpg", "-o", "out"], "several photographs are called x"),
        (["nothing.jpg", "-o", "out"], "nothing.jpg: no such file"),
        (["nothing.jpg", "-o", "out", "--edge-model", "none"], "none: no such file"),
        (["nine.png", "-o", "out", "--max-proposals", "0"], "nine.png: edge boxes: max_boxes=0"),
        (["nine.png", "-o", "out", "--enlarge", "nan"], "cannot be enlarged by nan"),
        (["nine.png", "-o", "nine.png"], "nine.png: exists and is not a folder"),
    ],
)
def test_bad_command(command: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("nine.png")
    assert main(["proposals", *command]) == 2
    assert said in capsys.readouterr().err


def test_recall_counts_the_first_ones_only() -> None:
    objects = np.array([[0, 0, 9, 9], [100, 100, 199, 199]])
    boxes = np.array([[50, 50, 60, 60], [0, 0, 9, 6], [0, 0, 9, 9], [100, 100, 199, 149]])
    recall = Recall((1, 2, 3, 4, 100))
    recall.add(boxes, objects)
    recall.add(boxes[:0], objects[:1])
    recall.add(boxes, objects[:0])
    assert (recall.images, recall.objects) == (3, 3)
    assert recall.share(0.5) == pytest.approx(np.array([0, 1, 1, 2, 2]) / 3)
    assert recall.share(0.7) == pytest.approx(np.array([0, 1, 1, 1, 1]) / 3)
    assert recall.share(0.71) == pytest.approx(np.array([0, 0, 1, 1, 1]) / 3)
    assert recall.rows()[1] == ["1", "0.0", "0.0"]
    assert np.isnan(Recall((1,)).share(0.5)).all()
    with pytest.raises(InputError, match="growing numbers"):
        Recall((2, 1))


def test_recall_command(voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["proposals", "--recall", "--voc", str(voc), "--split", "val", "--json", str(tmp_path / "r.json")]
    assert main([*command, "--max-proposals", "100", "--limit", "1"]) == 0
    assert "(masks) of 1 photographs" in capsys.readouterr().out
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["proposals"] == [10, 50, 100]
    assert told["recall"]["0.5"] == sorted(told["recall"]["0.5"])
    assert main([*command, "--objects", "annotations"]) == 2
    assert "no annotations" in capsys.readouterr().err


XML = """<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>2.4</ymin><xmax>10</xmax><ymax>20</ymax>
</bndbox></object><object><difficult>1</difficult><bndbox/></object></annotation>"""


def test_annotation_xml(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(XML)
    assert boxes_from_xml(tmp_path / "a.xml").tolist() == [[0, 1, 9, 19]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotation>",
        XML.replace("<xmin>1<", "<xmin>x<"),
        XML.replace("<xmin>1<", "<xmin>nan<"),
        XML.replace("<xmin>1<", "<xmin>99<"),
        XML.replace("<xmin>1</xmin>", ""),
        '<!DOCTYPE a [<!ENTITY b "c">]>' + XML,
    ],
)
def test_broken_annotation(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(FormatError, match=r"a\.xml"):
        boxes_from_xml(tmp_path / "a.xml")
