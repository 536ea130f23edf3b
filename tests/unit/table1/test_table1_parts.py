"""Published numbers, verdicts, records, expected values, stages and the chart, each by itself."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from repro.cli.arguments import DECONVNETS
from repro.data.shapes import ShapesConfig
from repro.errors import CheckFailed, DataError, FormatError, InputError
from repro.evaluate.comp6 import Comp6Score, score_image
from repro.papers.deconvnet import RECIPES
from repro.papers.deconvnet.models import MODELS, load_fcn
from repro.papers.deconvnet.table1 import expected
from repro.papers.deconvnet.table1.outcome import Outcome, RowOutcome, outcome_of
from repro.papers.deconvnet.table1.pages import as_csv, as_markdown, as_text
from repro.papers.deconvnet.table1.pictures import chart
from repro.papers.deconvnet.table1.plan import usual_rows
from repro.papers.deconvnet.table1.published import PublishedRow, published_rows, within
from repro.papers.deconvnet.table1.records import Record, RunFolder
from repro.papers.deconvnet.table1.rows import ROWS, check_recipe, row_labels, rows_named
from repro.papers.deconvnet.table1.stages import Stages, peak_memory
from repro.report.palette import VOC_CLASSES

ABOUT = {"model": "mini", "split": "val", "recipe": "release", "comparable": "no"}


def test_each_published_mean_is_that_of_its_classes() -> None:
    rows = published_rows()
    assert len(rows) == 11
    assert set(ROWS) < set(rows)
    for row in rows.values():
        assert round(sum(row.iou) / 21 + 1e-9, 1) == row.mean, row.name
    assert (rows["EDeconvNet+CRF"].mean, rows["DeconvNet"].mean) == (72.5, 69.6)


def test_published_numbers_are_those_collected(shared: Path) -> None:
    collected = json.loads((shared / "published.json").read_text())["papers"]["DeconvNet"]["tables"][0]["rows"]
    assert {r["name"]: (tuple(r["values"]), r["mean"]) for r in collected} == {
        r.name: (r.iou, r.mean) for r in published_rows().values()
    }


@pytest.mark.parametrize(
    ("measured", "near"), [(72.5, True), (72.45, True), (72.55, True), (72.4499, False), (math.nan, False)]
)
def test_near_is_half_the_last_decimal(measured: float, near: bool) -> None:
    assert within(measured, 72.5) is near


def row_of(confusion: np.ndarray, name: str = "EDeconvNet+CRF", absent: str = "nan") -> RowOutcome:
    return RowOutcome(name, Comp6Score(confusion, 1), published_rows()[name], absent)


def confusion(seed: int = 0) -> np.ndarray:
    counts = np.random.default_rng(seed).integers(0, 9, (21, 21))
    return counts + np.diag(np.full(21, 400))


def test_absent_classes_make_the_mean_no_number_or_are_left_out() -> None:
    counts = confusion()
    counts[7], counts[:, 7] = 0, 0
    plain, skipping = row_of(counts), row_of(counts, absent="skip")
    assert math.isnan(plain.mean)
    assert plain.verdict == "no number"
    assert skipping.mean == pytest.approx(np.nanmean(plain.score.iou))
    outcome = Outcome((plain,), ABOUT, 1)
    assert outcome.absent() == ["car"]
    assert json.loads(json.dumps(outcome.as_json(), allow_nan=False))["rows"]["EDeconvNet+CRF"]["values"]["car"] == {
        "measured": None,
        "published": 81.2,
        "delta": None,
        "within": False,
    }
    assert "--absent-class skip" in as_text(outcome)
    assert "left out of the mean" in as_text(Outcome((skipping,), ABOUT, 1))
    assert "EDeconvNet+CRF,car,,81.2,,no\n" in as_csv(outcome)


def test_a_row_that_rounds_to_the_printed_one_says_so() -> None:
    measured = row_of(confusion())
    printed = PublishedRow("x", tuple(round(v, 1) for v in measured.score.iou.tolist()), round(measured.mean, 1))
    row = RowOutcome("EDeconvNet", measured.score, printed, "nan")
    assert (row.verdict, row.classes_within()) == ("within 0.05", 21)
    other = RowOutcome("EDeconvNet", measured.score, dataclasses.replace(printed, mean=printed.mean + 0.1), "nan")
    assert (other.verdict, other.classes_within()) == ("outside 0.05", 21)


def test_pages_hold_every_row_and_note() -> None:
    rows = tuple(row_of(confusion(seed), name) for seed, name in enumerate(ROWS))
    outcome = Outcome(rows, ABOUT, 3, (("a|b", "cut short"),), origins={"Edge Boxes on gradient edges": 3})
    page, text = as_markdown(outcome), as_text(outcome)
    for name in published_rows():
        assert name in page
    for part in (page, text):
        assert "left out: a|b: cut short" in part
        assert "Edge Boxes on gradient edges (3 images)" in part
        assert "need not agree" in part
    assert max(map(len, text.splitlines()[:24])) < 120
    assert "need not agree" not in as_text(Outcome(rows, ABOUT | {"comparable": "yes"}, 3))
    picture = chart(outcome)
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 11 * 20 + 21 * 28
    assert chart(Outcome((row_of(np.zeros((21, 21), np.int64)),), ABOUT, 1)).size


def test_worst_images_are_named_with_their_mistake() -> None:
    truth = np.zeros((4, 5), np.uint8)
    truth[:2] = 8
    good, bad = truth.copy(), np.full_like(truth, 12)
    void = np.full_like(truth, 255)
    planes = {"good": (truth, good), "bad": (truth, bad), "void": (void, good)}
    records = []
    for name, (one, other) in planes.items():
        counts = np.argwhere(score_image(one, other).confusion)
        matrix = score_image(one, other).confusion
        records.append(Record(name, {}, {}, {"FCN8s": [[t, r, int(matrix[t, r])] for t, r in counts.tolist()]}))
    outcome = outcome_of(records, ["FCN8s"], [], ABOUT, absent="skip", worst_count=5)
    assert [image.name for image in outcome.worst] == ["bad", "good"]
    assert outcome.worst[0].mistake == "background taken for dog on 50.0 % of the pixels"
    assert outcome.worst[1].mean_iou == 100
    assert outcome.rows[0].score.pixels == 40
    assert outcome_of(records, ["FCN8s"], [], ABOUT, absent="skip", worst_count=0).worst == ()


def test_expected_values(tmp_path: Path) -> None:
    outcome = Outcome((row_of(confusion()),), ABOUT, 1)
    mean = outcome.rows[0].mean
    file = tmp_path / "expected.json"

    def check(content: object) -> str:
        file.write_text(json.dumps(content))
        return expected.check(outcome, expected.expected_of(file))

    assert "2 expected values met" in check({"EDeconvNet+CRF": {"mean": [mean, 0], "cat": [50, 50]}})
    with pytest.raises(CheckFailed, match="EDeconvNet\\+CRF mean is"):
        check({"EDeconvNet+CRF": {"mean": [mean + 1, 0.5]}})
    with pytest.raises(CheckFailed, match="no row"):
        check({"DeconvNet": {"mean": [1, 1]}})
    for content, message in (
        ([], "rows"),
        ({}, "rows"),
        ({"Row": {}}, "'Row'"),
        ({"DeconvNet": {"unicorn": [1, 2]}}, "unicorn"),
        ({"DeconvNet": {"mean": [1]}}, "tolerance"),
        ({"DeconvNet": {"mean": ["1", 2]}}, "tolerance"),
        ({"DeconvNet": 3}, "DeconvNet"),
    ):
        with pytest.raises(FormatError, match=message):
            check(content)
    file.write_text("{")
    with pytest.raises(FormatError):
        expected.expected_of(file)
    with pytest.raises(InputError, match="no such file"):
        expected.expected_of(tmp_path / "none.json")


def test_the_authors_weights_on_test_are_checked_against_the_paper() -> None:
    values = expected.shipped_expected({"model": "deconvnet", "comparable": "yes"}, ["a"])
    assert len(values) == 11 * 22
    assert expected.Expected("EDeconvNet+CRF", "mean", 72.5, 0.05) in values


def test_the_generated_pictures_are_known() -> None:
    config = ShapesConfig(seed=2012, images=40, val_fraction=Fraction(1))
    names = [config.image_id(index) for index in config.split("val")]
    values = expected.shipped_expected({"model": "mini", "recipe": "release", "comparable": "no"}, names)
    assert {one.row for one in values} == set(ROWS)
    assert all(one.column == "mean" and 0 < one.tolerance < 1 for one in values)
    for other in (names[1:], names[::-1]):
        with pytest.raises(InputError, match="seed 2012"):
            expected.shipped_expected({"model": "mini", "recipe": "release", "comparable": "no"}, other)


def test_rows_are_named_in_the_table_s_order() -> None:
    assert [row.name for row in rows_named("EDeconvNet, FCN8s")] == ["FCN8s", "EDeconvNet"]
    for wrong in ("", "DeconvNet,", "deconvnet"):
        with pytest.raises(InputError, match="EDeconvNet"):
            rows_named(wrong)
    with pytest.raises(InputError, match="scores of one"):
        row_labels(rows_named("FCN8s"), np.zeros((2, 2, 3), np.uint8), None, None, RECIPES["release"], Stages())
    check_recipe(rows_named("DeconvNet+CRF"), RECIPES["paper"])


def test_records_are_kept_only_whole_and_of_the_same_run(tmp_path: Path) -> None:
    labels = {"DeconvNet": np.zeros((2, 3), np.uint8)}
    score = {"DeconvNet": score_image(labels["DeconvNet"], labels["DeconvNet"])}
    folder = RunFolder(tmp_path, {"a": (1, 2)}, resume=False)
    folder.create(["DeconvNet"])
    record = folder.finish("x", {"image": "1"}, labels, score, 3, "cached")
    again = RunFolder(tmp_path, {"a": [1, 2]}, resume=True)
    assert again.finished("x", ["DeconvNet"], {"image": "1"}) == record
    assert record.score("DeconvNet", 21).confusion[0, 0] == 6
    assert again.finished("x", ["DeconvNet"], {"image": "2"}) is None
    assert again.finished("y", ["DeconvNet"], {"image": "1"}) is None
    with pytest.raises(DataError, match="--resume"):
        RunFolder(tmp_path, {"a": [1, 2]}, resume=False)
    with pytest.raises(DataError, match=r"a \[1, 2\] there, 3 asked for"):
        RunFolder(tmp_path, {"a": 3}, resume=True)
    path = tmp_path / "records" / "x.json"
    text = path.read_text()
    for damaged in ("", text[:-5], text.replace("cached", "cACHED"), "\n", "{}"):
        path.write_text(damaged)
        assert again.finished("x", ["DeconvNet"], {"image": "1"}) is None
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(DataError, match="not the settings"):
        RunFolder(tmp_path, {"a": 3}, resume=True)
    with pytest.raises(InputError, match="not a folder"):
        RunFolder(path, {}, resume=False)


def test_a_stage_inside_another_counts_for_itself() -> None:
    now = [0.0]
    stages = Stages(clock=lambda: now[0])

    def wait(seconds: float) -> float:
        now[0] += seconds
        return seconds

    with stages.stage("outer"):
        wait(1)
        with stages.stage("inner"):
            wait(2)
        wait(4)
    wait(100)
    assert stages.timed("inner", wait)(8) == 8
    assert stages.seconds == {"outer": 5, "inner": 10}
    assert stages.calls == {"outer": 1, "inner": 2}
    assert peak_memory()["process"] > 10**7
    assert VOC_CLASSES[0] == "background"


def test_a_model_without_an_fcn_has_the_rows_that_need_none() -> None:
    assert usual_rows("small-voc") == ("DeconvNet", "DeconvNet+CRF")
    assert usual_rows("mini") == tuple(ROWS)
    with pytest.raises(InputError, match="'small-voc' has no FCN-8s beside it"):
        load_fcn("small-voc", None, RECIPES["release"])


def test_the_models_the_command_line_offers_are_those_there_are() -> None:
    assert set(DECONVNETS) == set(MODELS)
