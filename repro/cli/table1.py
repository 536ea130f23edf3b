"""`repro table1 --voc DIR`: Table 1 of the DeconvNet paper, measured beside published."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from repro.cli.arguments import DECONVNETS, add_recipe_arguments
from repro.errors import ReproError

if TYPE_CHECKING:
    from repro.papers.deconvnet.table1.expected import Expected
    from repro.papers.deconvnet.table1.outcome import Outcome
    from repro.papers.deconvnet.table1.plan import Plan
    from repro.papers.deconvnet.table1.run import Share
    from repro.papers.deconvnet.table1.shards import Shards

ALL_ROWS = "DeconvNet,DeconvNet+CRF,EDeconvNet,EDeconvNet+CRF,FCN8s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--voc",
        required=True,
        metavar="DIR",
        help="a VOC2012 folder, the one above it, or a set of `repro data shapes`",
    )
    add("--split", default="val", metavar="NAME|FILE", help="list in ImageSets/Segmentation, or a file (default: val)")
    add("--rows", metavar="A,B", help=f"default: all that the model has nets for, of {ALL_ROWS}")
    add("--limit", type=int, metavar="N", help="the first N images only")
    add("--out", default="table1", metavar="DIR", help="results, tables, pictures, records (default: table1)")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--model", default="deconvnet", choices=DECONVNETS, help="default: deconvnet (the authors' weights)")
    add("--weights", metavar="DIR", help="folder of the model's .caffemodel files (default: weights/)")
    add("--prototxt", metavar="FILE", help="a network of your own in DeconvNet's place (weights under the usual name)")
    add("--fcn-prototxt", metavar="FILE", help="the same for FCN-8s")
    add_recipe_arguments(parser)
    add("--backend", default="auto", choices=("auto", "gloo", "nccl"), help="of torch.distributed, under torchrun")
    add("--on-error", default="stop", choices=("stop", "skip"), help="at an image that cannot be read (default: stop)")
    add("--absent-class", default="nan", choices=("nan", "skip"), help="as in `repro evaluate` (default: nan)")
    add("--worst", type=int, default=5, metavar="N", help="images to list, worst first (default: 5)")
    add(
        "--cache",
        type=float,
        default=24.0,
        metavar="GB",
        help="bound of the scores kept on disk; 0: none (default: 24)",
    )
    add("--cache-dir", metavar="DIR", help="where they are kept, e.g. for several runs (default: OUT/cache)")
    add("--check", action="store_true", help="exit 1 where the means are not the expected ones")
    add("--expected", metavar="FILE", help="expected values of your own for --check (JSON, see docs/table1.md)")


def run(args: argparse.Namespace) -> int:
    from repro.papers.deconvnet.table1.shards import device_of_this_process, started_shards

    args.device = device_of_this_process(args.device)
    with started_shards(args.device, args.backend) as shards:
        return _run(args, shards)


def _run(args: argparse.Namespace, shards: Shards) -> int:
    from repro.papers.deconvnet.table1 import expected
    from repro.papers.deconvnet.table1.outcome import outcome_of
    from repro.papers.deconvnet.table1.run import agree, bring_together, collect, merged

    plan, wanted, error = _prepare(args)
    # nobody writes before everybody has looked at what is there
    agree(error, shards)
    assert plan is not None
    share, error = _work(plan, shards)
    agree(error, shards)
    found = collect(share, shards, **plan.spent())
    rows = [row.name for row in plan.rows]
    records, failures = merged(plan.names, found)
    bring_together([record.name for record in records], rows, plan.folder, shards)
    if not shards.first:
        return 0
    outcome = outcome_of(records, rows, failures, plan.about, absent=args.absent_class, worst_count=args.worst)
    _write(plan, outcome, [record.name for record in records])
    _print_spent(plan, found, len(records))
    if args.check:
        print(expected.check(outcome, wanted))
    return 0


def _prepare(args: argparse.Namespace) -> tuple[Plan | None, tuple[Expected, ...], ReproError | None]:
    from dataclasses import fields

    from repro.papers.deconvnet.table1.expected import expected_of, shipped_expected
    from repro.papers.deconvnet.table1.plan import Options, make_plan

    try:
        wanted = expected_of(args.expected) if args.expected else ()
        plan = make_plan(Options(**{field.name: getattr(args, field.name) for field in fields(Options)}))
        if args.check and not wanted:
            wanted = shipped_expected(plan.about, plan.names)
        return plan, wanted, None
    except ReproError as error:
        return None, (), error


def _work(plan: Plan, shards: Shards) -> tuple[Share, ReproError | None]:
    """This process's photographs; an error of ours is kept until all processes have met."""
    from repro.cli.progress import progress
    from repro.papers.deconvnet.table1.run import Share

    what = "table 1" if shards.count == 1 else f"table 1, process {shards.rank} of {shards.count}"
    try:
        plan.folder.create([row.name for row in plan.rows])
        return plan.work.over(shards.own(plan.names), partial(progress, what)), None
    except ReproError as error:
        return Share(), error
    except KeyboardInterrupt:
        print(f"repro: what is finished is kept in {plan.folder.root}; --resume goes on with it", file=sys.stderr)
        raise


def _write(plan: Plan, outcome: Outcome, names: list[str]) -> None:
    from repro.files import write_atomic
    from repro.papers.deconvnet.table1.archive import write_archive
    from repro.papers.deconvnet.table1.pages import as_csv, as_markdown, as_text
    from repro.papers.deconvnet.table1.pictures import write_pictures

    root = plan.folder.root
    write_atomic(root / "table.md", as_markdown(outcome))
    write_atomic(root / "table.csv", as_csv(outcome))
    write_atomic(root / "table.json", json.dumps(outcome.as_json(), indent=1) + "\n")
    pictures = write_pictures(outcome, root)
    print(as_text(outcome))
    if not plan.work.scored:
        print("no truth for this split: nothing is scored")
    if not plan.work.scored or plan.about["split"] == "test":
        for row in plan.rows:
            archive = root / f"comp6_test_{row.name}.tar"
            write_archive(archive, plan.folder.results(row.name), names)
            print(f"for the evaluation server: {archive}")
    print(f"written: {root / 'table.md'}, .csv and .json{', pictures beside them' if pictures else ''}; "
          f"results of each row in {root}/ROW/results")  # fmt: skip


def _print_spent(plan: Plan, found: list[dict[str, Any]], images: int) -> None:
    from repro.files import write_atomic
    from repro.papers.deconvnet.table1.spent import spent_lines

    write_atomic(
        plan.folder.root / "timing.json", json.dumps([_without_records(one) for one in found], indent=1) + "\n"
    )
    print("\n".join(spent_lines(found, images)))


def _without_records(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in ("records", "failures")}
