"""What a system of segmentation is to this project: its networks, its published tables, what was measured of it.

Data only: no torch, no special case. `repro.papers.registry` names the systems there are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from repro import paths
from repro.errors import DataError
from repro.papers.inference.settings import Inference

Shape = tuple[int, ...]
Cell = float | int | str | None
PUBLISHED = Path(__file__).resolve().parent / "published"


@dataclass(frozen=True)
class Original:
    """An authors' (or a fork's) own prototxt, by its name in the collection of real definitions, and ours beside it.

    file: without ``.prototxt``. ours: the name that `repro.paths.prototxt` takes. phase: both are read in it. Layers
    without bottoms (data) may differ, their tops may not. shapes: of the input blobs for both, () is the network's
    first size. renames: pairs (its name, ours) of layers and blobs; leaves_out: its layers that ours has no use for;
    adds: layers only ours has. Each of the three needs its reason in `why`. dialect: "" guesses. define: values of a
    template's variables, which its script fills in.
    """

    file: str
    ours: str
    phase: Literal["TEST", "TRAIN"] = "TEST"
    shapes: tuple[tuple[str, Shape], ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    leaves_out: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    why: str = ""
    dialect: str = ""
    define: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Network:
    """One network that can be run by name.

    prototxt: the deploy net, a name for `repro.paths`. parameters: their exact number (shared ones once, statistics
    of BatchNorm included, as Caffe counts blobs). sizes: pairs of input and scores shape, N, C, H, W, the paper's input
    size first. weights: a name of weights/manifest.toml, "" where no file is known; kind: whose they are.
    input, scores: blobs; "" is the net's only one. train, solver: prototxts, "" where there is none; train_shapes: the
    blobs and shapes of a small batch for it. classes: names of a photograph's labels, label 0 first.
    colours: (R, G, B) per label, () is VOC's.
    inference: None where the system has a pipeline of its own (DeconvNet's proposals).
    more_inputs: pairs of the deploy net's other inputs and their shapes behind the batch (C, H, W).
    """

    name: str
    prototxt: str
    parameters: int
    sizes: tuple[tuple[Shape, Shape], ...]
    inference: Inference | None
    weights: str = ""
    kind: Literal["original", "trained", "mini"] = "original"
    input: str = "data"
    scores: str = ""
    more_inputs: tuple[tuple[str, Shape], ...] = ()
    train: str = ""
    solver: str = ""
    train_shapes: tuple[tuple[str, Shape], ...] = ()
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    originals: tuple[Original, ...] = ()

    @property
    def background(self) -> int | None:
        """Label 0 where it means none of the classes; None where every label is a class."""
        return 0 if not self.classes or self.classes[0] == "background" else None

    @property
    def status(self) -> str:
        """Which weights are at hand: "original", "trained" or "mini" where the file is there, else "none"."""
        try:
            return self.kind if self.weights and paths.weights(self.weights).is_file() else "none"
        except DataError:
            return "none"


@dataclass(frozen=True)
class Table:
    """A published table. rows: (name, cells), a cell per column, None where nothing is printed."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    source: str
    note: str = ""


@dataclass(frozen=True)
class Measured:
    """A number of ours. table, row, column: its place in a published table; table "": it has none there.

    how: the command, the data and the machine.
    """

    row: str
    column: str
    value: Cell
    how: str
    table: str = ""


@dataclass(frozen=True)
class System:
    """A paper's system. paper: its citation; headline: the published number a reader looks for; ours: the one of ours
    that stands beside it, "" for none; notes: on its status; docs: its page in docs/papers.
    """

    name: str
    title: str
    paper: str
    headline: str
    networks: tuple[Network, ...]
    published: tuple[Table, ...] = ()
    measured: tuple[Measured, ...] = ()
    ours: str = ""
    notes: tuple[str, ...] = ()

    @property
    def docs(self) -> str:
        return f"docs/papers/{self.name}.md"


@cache
def published(name: str) -> tuple[Table, ...]:
    """The tables of ``published/NAME.json``; DataError where a row has another length than its columns."""
    data: dict[str, Any] = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    tables = []
    for table in data["tables"]:
        columns = tuple(table["columns"])
        rows = tuple((row["name"], tuple(row["values"])) for row in table["rows"])
        for row, cells in rows:
            if len(cells) != len(columns):
                raise DataError(f"published/{name}.json: {table['name']}: row '{row}' has {len(cells)} cells, "
                                f"expected {len(columns)}")  # fmt: skip
        tables.append(Table(table["name"], columns, rows, table["source"], table.get("note", "")))
    return tuple(tables)
