"""`repro papers`: the systems and what is known of each; `repro papers NAME`: its tables, measured beside published."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="a system: its tables, measured beside published")
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown")


def run(args: argparse.Namespace) -> int:
    from repro.papers import pages, registry
    from repro.report.table import markdown_table, text_table

    table = markdown_table if args.markdown else text_table
    if args.name is not None:
        print(pages.system_page(registry.system(args.name), table))
        return 0
    rows, wrong = pages.status_rows(list(registry.systems()))
    print(table(rows))
    for line in wrong:
        print(f"repro: {line}", file=sys.stderr)
    return 1 if wrong else 0
