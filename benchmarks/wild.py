"""How many real prototxts are read, understood and summarised: counts over a folder of them.

    python benchmarks/wild.py FOLDER [--json FILE] [--every N]

FOLDER holds ``*.prototxt``. For each file: is it the text format (syntax), which dialect it is read in, and whether a
summary with shapes and parameter counts can be made (`repro summary FILE`). Templates' variables get the values below.
Files that are refused are counted by layer type or by reason; a file counts as needing a custom layer where it is
refused for the type of a layer.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from collections import Counter
from pathlib import Path

from repro.caffe import load_net
from repro.caffe.syntax import parse_syntax
from repro.caffe.template import TemplateError
from repro.caffe.text import read_text
from repro.caffe.unknown import KeptFieldWarning
from repro.errors import ReproError, SchemaError, UnsupportedError
from repro.summary import summarize

VALUES = {
    "NUM_LABELS": 21,
    "CLASS_COUNT": 21,
    "CLASS_WEIGHTING": "",
    "DENSECRF_LOSS_WEIGHT": 1,
    "INPUT": 'input: "data"',
}
_TYPES = re.compile(r"\(([A-Za-z0-9_]+)\) at ")


def values_for(text: str, name: str) -> dict[str, object]:
    """The variables this text asks for, from VALUES."""
    try:
        load_net(text + "\n")
    except TemplateError as error:
        return {variable: VALUES[variable] for variable in error.variables if variable in VALUES}
    except ReproError:
        pass
    return {}


def reason(error: ReproError) -> str:
    """Why a file is refused, in a few words, for counting."""
    text = str(error)
    if isinstance(error, TemplateError):
        return "template without values"
    if isinstance(error, SchemaError) and "may change what the net computes" in text:
        found = re.search(r"(\w+Parameter\.\w+)", text)
        return f"option {found[1]}" if found else "option"
    if isinstance(error, SchemaError) and "fits the dialects" in text:
        return "two dialects fit"
    return f"{type(error).__name__}: {re.sub(r'^[^ ]+:[0-9]+:[0-9]+: ', '', text)[:90]}"


def one(path: Path) -> dict[str, object]:
    """What becomes of one file."""
    row: dict[str, object] = {"file": path.name, "syntax": False, "dialect": "", "summarised": False, "refused": []}
    try:
        text = read_text(path)
        parse_syntax(text, path.name)
        row["syntax"] = True
        define = values_for(text, path.name)
        row["template"] = bool(define)
    except ReproError as error:
        row["refused"] = [reason(error)]
        return row
    try:
        row["dialect"] = load_net(path, define=define).dialect
        summary = summarize(path, None, define=define)
        row.update(summarised=True, phase=summary.phase, params=summary.params, assumed=len(summary.assumed))
    except UnsupportedError as error:
        types = sorted(set(_TYPES.findall(str(error))))
        row["refused"] = [f"layer {t}" for t in types] or [reason(error)]
    except ReproError as error:
        row["refused"] = [reason(error)]
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only every N-th file")
    args = parser.parse_args()
    warnings.simplefilter("ignore", KeptFieldWarning)
    began = time.perf_counter()
    rows = [one(path) for path in sorted(args.folder.glob("*.prototxt"))[:: args.every]]
    refused = Counter(str(r) for row in rows for r in row["refused"])  # type: ignore[attr-defined]
    by_type = sum(any(str(r).startswith("layer ") for r in row["refused"]) for row in rows)  # type: ignore[attr-defined]
    print(f"{len(rows)} files, {time.perf_counter() - began:.0f} s")
    print(f"text format: {sum(bool(row['syntax']) for row in rows)}")
    print(f"read in a dialect: {sum(bool(row['dialect']) for row in rows)}")
    done = sum(bool(row["summarised"]) for row in rows)
    within = len(rows) - by_type
    print(f"summarised: {done}; of these with assumed shapes: {sum(bool(row.get('assumed')) for row in rows)}")
    print(f"refused for a layer type that is not built: {by_type}; of the other {within}: {100 * done / within:.1f} %")
    print("dialects: " + ", ".join(f"{d} {n}" for d, n in Counter(str(r["dialect"]) for r in rows).most_common()))
    for what, count in refused.most_common():
        print(f"{count:4}  {what}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
