"""What each field of DeconvNet's recipe is worth on a small set: Table 1's means with one field changed at a time.

    python benchmarks/recipes.py [--images N] [--rows A,B] [--work DIR]

Generated pictures of `repro data shapes` that the mini networks have not seen, Edge Boxes on gradient edges. Every
field goes from the release's value to the paper's, or where the paper says nothing to another that people use. The
effect is the change of the row's mean IoU over the classes that the truth has, in points. Scores are kept in --work, so
a stopped run goes on. Prints a Markdown table and writes results/recipes.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from harness import RESULTS, conditions

from repro.cli.main import main as repro
from repro.data.shapes import ShapesConfig, write_shapes
from repro.report.table import markdown_table

SEED = 2012
ROWS = "DeconvNet,DeconvNet+CRF,EDeconvNet,EDeconvNet+CRF,FCN8s"
# the number of the point in docs/recipes.md, and the change
CHANGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("1", ("ensemble=mean",)),
    ("1", ("clip_fcn=false",)),
    ("1, 2", ("ensemble=mean", "softmax=members", "clip_fcn=false")),
    ("2", ("softmax=members",)),
    ("2", ("softmax_precision=double",)),
    ("3", ("floor=padding",)),
    ("3", ("floor=none",)),
    ("4", ("aggregate=sum",)),
    ("5", ("min_side=0",)),
    ("5", ("max_proposals=25",)),
    ("6", ("enlarge=1",)),
    ("6", ("square=false",)),
    ("7", ("score_shift=0",)),
    ("8", ("crf=deconvnet_release",)),
    ("8", ("crf_normalization=none",)),
    ("8", ("crf_iterations=10",)),
    ("9", ("fcn_size=500",)),
    ("11", ("resampling=matlab",)),
    ("11", ("resampling=opencv",)),
    ("12", ("mean_bgr=104.008,116.669,122.675",)),
    ("", ("whole_image=false",)),
)


def means(folder: Path, voc: Path, rows: str, cache: Path, *more: str) -> dict[str, float]:
    """Row -> mean IoU (`mean_over_truth`) of one run, which goes on where it stopped."""
    arguments = ["table1", "--voc", str(voc), "--model", "mini", "--rows", rows, "--out", str(folder), "--resume"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = repro([*arguments, "--absent-class", "skip", "--cache-dir", str(cache), *more])
    if status:
        raise SystemExit(f"{' '.join(more) or 'the base'}: repro table1 ended with {status}")
    table = json.loads((folder / "table.json").read_text())
    return {row: mean_over_truth(np.array(cells["confusion"])) for row, cells in table["rows"].items()}


def mean_over_truth(confusion: np.ndarray) -> float:
    """Mean IoU in percent over the classes the truth has, so that a class only ever guessed does not change whose mean
    it is; its pixels count as the misses they are."""
    hits = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hits
    there = confusion.sum(1) > 0
    return float(100 * (hits[there] / union[there]).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--images", type=int, default=20, help="pictures (default: 20)")
    parser.add_argument("--rows", default=ROWS)
    parser.add_argument("--work", type=Path, help="folder for pictures, scores and runs (default: a temporary one)")
    args = parser.parse_args()
    before = conditions()
    with tempfile.TemporaryDirectory() as temporary:
        work: Path = args.work or Path(temporary)
        voc, cache = work / "VOC2012", work / "cache"
        voc.mkdir(parents=True, exist_ok=True)
        write_shapes(voc, ShapesConfig(seed=SEED, images=args.images, val_fraction=Fraction(1)))
        base = means(work / "base", voc, args.rows, cache)
        rows: list[dict[str, Any]] = []
        for point, change in CHANGES:
            settings = [part for setting in change for part in ("--set", setting)]
            name = "_".join(change).replace("=", "-")
            found = means(work / name, voc, args.rows, cache, *settings)
            rows.append({"point": point, "change": list(change), "mean_iou": found})
            print(", ".join(change), {row: round(found[row] - base[row], 2) for row in base}, flush=True)
        paper = means(work / "paper", voc, args.rows, cache, "--recipe", "paper")
    rows.append({"point": "all", "change": ["recipe=paper"], "mean_iou": paper})
    head = ["#", "change", *base]
    cells = [["", "as released", *(f"{value:.2f}" for value in base.values())]]
    for row in rows:
        effect = [f"{row['mean_iou'][name] - base[name]:+.2f}" for name in base]
        cells.append([row["point"], f"`{', '.join(row['change'])}`", *effect])
    print(markdown_table([head, *cells]))
    data = {"conditions": before, "images": args.images, "seed": SEED, "base": base, "rows": rows}
    (RESULTS / "recipes.json").write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
