"""Lists whose making is stopped: they go on where they stood, and end the same for any number of jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.cli.main import main
from repro.data.journal import Journal
from repro.data.voc import VocFolder
from repro.data.window_files import WindowOptions, write_stage2
from repro.data.windows import jittered_boxes
from repro.errors import InputError


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "set"
    assert main(["data", "shapes", str(folder), "--images", "8", "--val-fraction", "1/4"]) == 0
    return folder


class Proposer:
    """Stops as a kill would, at its n-th picture."""

    def __init__(self, stop_at: int = 0) -> None:
        self.asked: list[str] = []
        self.stop_at = stop_at

    def __call__(self, name: str, image: object, objects: list) -> object:  # type: ignore[type-arg]
        self.asked.append(name)
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        return jittered_boxes(objects, 4, 0, name)


def write(
    voc: Path, out: Path, proposer: Proposer, *, jobs: int = 1, proposals: str = "p", enlarge: float = 1.2
) -> bytes:
    options = WindowOptions(enlarge=enlarge, square=True)
    write_stage2(VocFolder(voc), "train", out, "train", options, proposer, jobs=jobs, proposals=proposals)  # type: ignore[arg-type]
    return (out / "stage_2_train_imgset/train.txt").read_bytes()


def test_a_stopped_run_goes_on_to_the_same_file(voc: Path, tmp_path: Path) -> None:
    whole = write(voc, tmp_path / "whole", Proposer())
    assert write(voc, tmp_path / "three", Proposer(), jobs=3) == whole
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        write(voc, out, Proposer(stop_at=4))
    assert not (out / "stage_2_train_imgset/train.txt").exists()
    rest = Proposer()
    assert write(voc, out, rest) == whole
    assert len(rest.asked) == 3
    assert [path.name for path in (out / "stage_2_train_imgset").iterdir()] == ["train.txt"]


def test_other_work_begins_anew(voc: Path, tmp_path: Path) -> None:
    for more in ({"proposals": "q"}, {"enlarge": 1.3}):
        out = tmp_path / str(more)
        with pytest.raises(KeyboardInterrupt):
            write(voc, out, Proposer(stop_at=4))
        again = Proposer()
        write(voc, out, again, **more)  # type: ignore[arg-type]
        assert len(again.asked) == 6
    with pytest.raises(InputError, match="0 jobs"):
        write(voc, tmp_path / "none", Proposer(), jobs=0)


def test_a_line_that_a_kill_cut_short_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, {"a": 1}) as journal:
        journal.add("x", {"lines": [1]})
        journal.add("y", {"lines": [2]})
    path.write_bytes(path.read_bytes()[:-5])
    with Journal(path, {"a": 1}) as journal:
        assert journal.done == {"x": {"lines": [1]}}
        journal.add("z", {"lines": []})
    assert Journal(path, {"a": 1}).done.keys() == {"x", "z"}
    assert Journal(path, {"a": 2}).done == {}
    path.write_bytes(b"\xff\xfe")
    assert Journal(path, {"a": 1}).done == {}
