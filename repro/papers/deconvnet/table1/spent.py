"""What a run took: seconds per stage, memory, and the cache, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repro.papers.deconvnet.table1.score_cache import size_text
from repro.papers.deconvnet.table1.stages import added
from repro.report.table import text_table


def spent_lines(found: Sequence[dict[str, Any]], images: int) -> list[str]:
    """found: what `Plan.spent` gave in every process, with how many images were finished before; images: in all."""
    resumed = sum(one["resumed"] for one in found)
    computed = images - resumed
    seconds, calls = added([one["seconds"] for one in found]), added([one["calls"] for one in found])
    lines = []
    if seconds and computed:
        cells = [["stage", "seconds", "calls", "seconds per image"]]
        for name, spent in seconds.items():
            cells.append([name, f"{spent:.2f}", str(int(calls[name])), f"{spent / computed:.3f}"])
        total = sum(seconds.values())
        cells.append(["all", f"{total:.2f}", "", f"{total / computed:.3f}"])
        lines += [text_table(cells, rules=(1, len(cells) - 1))]
    counts = f"{computed} images computed, {resumed} finished before"
    if len(found) > 1:
        counts += f"; {len(found)} processes, seconds are the sum over them"
    memory = {kind: max(one["memory"].get(kind, 0) for one in found) for kind in found[0]["memory"]}
    kinds = {"process": "resident", "cuda": "on the card"}
    each = " in the largest process" if len(found) > 1 else ""
    peak = ", ".join(f"{size_text(size)} {kinds[kind]}" for kind, size in memory.items())
    cache = added([one["cache"] for one in found])
    lines += [counts, f"peak memory: {peak}{each}"]
    damaged = f", {int(cache['damaged'])} damaged files computed anew" if cache["damaged"] else ""
    lines.append(f"score maps: {int(cache['misses'])} computed, {int(cache['hits'])} from the cache{damaged}")
    return lines
