"""What `repro papers` prints: the status of all systems, and one system's tables, measured beside published."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from repro import paths
from repro.papers.system import Cell, Measured, Network, Shape, System, Table
from repro.report.table import MISSING
from repro.summary import summarize

Rows = list[list[str]]
TableText = Callable[[Sequence[Sequence[str]]], str]

_HEAD = ["system", "network", "input", "parameters", "counted", "weights", "published", "measured"]


def status_rows(systems: Sequence[System]) -> tuple[Rows, list[str]]:
    """A row per network, and what is wrong: each network whose counted parameters are not the declared ones."""
    rows, wrong = [_HEAD], []
    for system in systems:
        for place, network in enumerate(system.networks):
            counted = count_parameters(network)
            agrees = counted == network.parameters
            if not agrees:
                wrong.append(f"{network.name}: {counted:,} parameters counted, {network.parameters:,} expected")
            first = place == 0
            rows.append(
                [
                    system.name if first else "",
                    network.name,
                    size_text(network.sizes[0][0]),
                    f"{network.parameters:,}",
                    "equal" if agrees else f"{counted:,}",
                    network.status,
                    system.headline if first else "",
                    system.ours if first else "",
                ]
            )
    return rows, wrong


def count_parameters(network: Network) -> int:
    """Parameters of the deploy net, counted from its prototxt."""
    return summarize(paths.prototxt(network.prototxt)).params


def size_text(shape: Shape) -> str:
    """ "1×3×224×224" """
    return "×".join(map(str, shape))


def system_page(system: System, table: TableText) -> str:
    """Title, networks, every published table with our numbers beside it, other numbers of ours, notes."""
    parts = [f"{system.title}\n{system.paper}\npage: {system.docs}", table(_network_rows(system))]
    for one in system.published:
        places = [m for m in system.measured if m.table == one.name]
        parts.append("\n".join([one.name, table(_beside(one, places)), *_footnotes(one, places)]))
    others = [m for m in system.measured if not m.table]
    if others:
        rows = [["measured here", "", ""], *([m.row, m.column, cell_text(m.value)] for m in others)]
        hows = sorted({m.how for m in others})
        parts.append("\n".join([table(rows), *hows]))
    parts += [f"note: {note}" for note in system.notes]
    return "\n\n".join(parts)


def cell_text(cell: Cell) -> str:
    """A cell as printed; a dash where nothing is."""
    return MISSING if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)


def _network_rows(system: System) -> Rows:
    head = ["network", "input", "scores", "parameters", "weights", "prototxt"]
    return [
        head,
        *(
            [n.name, size_text(n.sizes[0][0]), size_text(n.sizes[0][1]), f"{n.parameters:,}", n.status, n.prototxt]
            for n in system.networks
        ),
    ]


def _beside(table: Table, measured: Sequence[Measured]) -> Rows:
    """The table's rows; a column we have numbers for is followed by them."""
    ours = {(m.row, m.column): cell_text(m.value) for m in measured}
    mine = {column for _, column in ours}
    head = ["row"]
    for column in table.columns:
        head += [column, "measured"] if column in mine else [column]
    rows = [head]
    for name, cells in table.rows:
        row = [name]
        for column, cell in zip(table.columns, cells, strict=True):
            row.append(cell_text(cell))
            if column in mine:
                row.append(ours.get((name, column), MISSING))
        rows.append(row)
    return rows


def _footnotes(table: Table, measured: Sequence[Measured]) -> list[str]:
    lines = [f"published: {table.source}{'; ' + table.note if table.note else ''}"]
    return lines + [f"measured: {how}" for how in sorted({m.how for m in measured})]
