import io

import pytest

from repro.cli.progress import progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(total: int | None, pieces: int, seconds: float, **options: object) -> list[str]:
    out, clock = io.StringIO(), Clock()
    with progress("work", total, stream=out, clock=clock, **options) as step:  # type: ignore[arg-type]
        for index in range(pieces):
            clock.now += seconds
            step(note=f"piece {index}")
    return out.getvalue().splitlines()


def test_a_plain_line_every_few_seconds_and_one_at_the_end() -> None:
    lines = run(10, 10, 2.0, every=5.0)
    assert lines[0] == "work: 3/10 (30 %), 2.0 s each, 14 s left, piece 2"
    assert lines[-1] == "work: 10 done in 20.0 s, piece 9"
    assert len(lines) == 4


def test_fast_work_says_only_that_it_is_done() -> None:
    assert run(1000, 1000, 0.001) == ["work: 1000 done in 1.0 s, piece 999"]


def test_an_unknown_total_gives_a_count_and_a_rate() -> None:
    assert run(None, 12, 0.5, every=5.0)[0] == "work: 10, 2.0/s, piece 9"


def test_less_than_promised_is_said() -> None:
    assert run(5, 3, 0.1) == ["work: 3 of 5 done in 0.3 s, piece 2"]


def test_no_work_at_all() -> None:
    assert run(0, 0, 1.0) == ["work: 0 done in 0.0 s"]


def test_work_that_raises_does_not_claim_to_be_done() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), progress("work", 3, stream=out):
        raise RuntimeError
    assert out.getvalue() == ""


def test_a_terminal_gets_a_bar_and_brackets_stay_brackets() -> None:
    out = Terminal()
    with progress("work", 2, stream=out) as step:
        step(note="[red]x.png")
        step()
    assert "2/2" in out.getvalue()
    assert "[red]x.png" in out.getvalue()
