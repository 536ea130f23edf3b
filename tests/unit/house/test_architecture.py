"""The plan in docs/architecture.md, held up: which room may import which, and how long a file may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "repro"
LONGEST = 400
BOTTOM = ("caffe", "errors", "files", "manifest", "paths", "_build")
# single files that belong to a room of the plan; `repro` itself (its __init__) is the front door, above everything
NET_FILES = (
    "assumed",
    "compare",
    "compare_causes",
    "convert",
    "crops",
    "graph",
    "loading",
    "parts",
    "receptive_field",
    "seeded",
    "sharing",
    "summary",
    "surgery",
)
ROOM_OF_FILE = dict.fromkeys(NET_FILES, "net") | {"__main__": "repro", "__init__": "repro"}
# rooms that stand on one level with a room of the plan: Caffe's own arithmetic, which layers call as they call ops
BESIDE = {"exact": "ops"}


def levels() -> dict[str, int]:
    """Room -> height, read from the plan's own sentence, so that plan and test cannot drift apart."""
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (chain,) = re.findall(r"Imports point downwards only: `([^`]+)`", plan)
    steps = [re.findall(r"\w+", step) for step in chain.split("->")]
    assert steps[-1] == ["csrc"]
    height = {room: len(steps) - depth for depth, step in enumerate(steps[:-1]) for room in step}
    beside = {room: height[other] for room, other in BESIDE.items()}
    return beside | height | dict.fromkeys(BOTTOM, 0) | {"repro": len(steps) + 1}


def room_of(module: str) -> str:
    """Room of a dotted module name such as "repro.layers.conv"."""
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else "__init__"
    return ROOM_OF_FILE.get(name, name)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import anywhere in a file, also those inside functions."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            if source != "repro":
                yield node.lineno, source
                continue
            for alias in node.names:
                inside = (PACKAGE / alias.name).is_dir() or (PACKAGE / f"{alias.name}.py").is_file()
                if inside or alias.name != "__version__":
                    yield node.lineno, f"repro.{alias.name}" if inside else "repro"


def room_imports() -> Iterator[tuple[str, str, str]]:
    """(importing room, imported room, file:line) for every import inside the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, name in imports(path):
            if name == "repro" or name.startswith("repro."):
                yield room_of(module_name(path)), room_of(name), f"{path.relative_to(ROOT)}:{line}"


def test_every_room_is_in_the_plan() -> None:
    found = {room_of(module_name(path)) for path in PACKAGE.rglob("*.py")}
    lost = sorted(found - set(levels()))
    assert not lost, f"neither in docs/architecture.md's chain nor placed at the top of this file: {lost}"


def test_imports_point_downwards() -> None:
    height = levels()
    known = [(here, there, where) for here, there, where in room_imports() if {here, there} <= set(height)]
    assert len(known) > 100
    upward = [f"{where}: {here} imports {there}" for here, there, where in known if height[there] > height[here]]
    assert not upward, "\n".join(upward)


def test_no_two_rooms_need_each_other() -> None:
    needs: dict[str, set[str]] = {}
    for here, there, _ in room_imports():
        # the bottom files and the net's own files stand together
        if here != there and there not in BOTTOM:
            needs.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(f"rooms import each other in a circle: {' -> '.join(error.args[1])}")


def test_file_formats_know_no_torch() -> None:
    files = [*(PACKAGE / "caffe").rglob("*.py"), *(PACKAGE / f"{name}.py" for name in BOTTOM[1:])]
    heavy = [f"{p.relative_to(ROOT)}:{n}" for p in files for n, name in imports(p) if name.split(".")[0] == "torch"]
    assert not heavy


def test_no_file_is_too_long() -> None:
    kinds = {".py", ".cpp", ".cu", ".h", ".cuh"}
    tops = ("repro", "csrc", "tests", "benchmarks", "reproduce")
    files = [p for top in tops for p in (ROOT / top).rglob("*") if p.suffix in kinds]
    assert len(files) > 50, "the folders moved; this test looks in the wrong place"
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = [f"{p.relative_to(ROOT)} ({n} lines)" for p, n in sorted(lengths.items()) if n > LONGEST]
    assert not long, f"longer than {LONGEST} lines, so two files: {', '.join(long)}"


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"pytest takes equally named files for one module: {', '.join(twice)}"


def test_the_guard_sees_an_upward_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "repro"
    (package / "caffe").mkdir(parents=True)
    (package / "caffe" / "bad.py").write_text(
        "def f():\n    from repro.layers import conv\n    from ..net import Net\n"
    )
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", package)
    assert list(room_imports()) == [
        ("caffe", "layers", "repro/caffe/bad.py:2"),
        ("caffe", "net", "repro/caffe/bad.py:3"),
    ]
