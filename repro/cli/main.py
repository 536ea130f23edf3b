"""`repro VERB …`: finds the verb's module, parses its arguments, turns our errors into one line and an exit status."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from repro import __version__
from repro.errors import CheckFailed, ReproError

# verb -> (module in repro.cli, one line of help); the module offers add_arguments(parser) and run(args) -> int | None.
# Modules are imported only when their verb is used, so that `repro --help` and file-only verbs start at once.
VERBS: dict[str, tuple[str, str]] = {
    "summary": ("summary", "layers, shapes, parameters and multiply-adds of a prototxt"),
    "run": ("run", "run a network on an array and store its blobs"),
    "compare": ("compare", "a network's blobs against those another Caffe stored"),
    "convert": ("convert", "weights from one file format into another"),
    "surgery": ("surgery", "weights of one network for another: fc layers as convolutions and back"),
    "export": ("export", "a network as ONNX or as a torch.export program"),
    "papers": ("papers", "the systems there are, their tables measured beside published"),
    "segment": ("segment", "label photographs with a network of `repro papers`"),
    "table1": ("table1", "Table 1 of the DeconvNet paper, measured beside published"),
    "proposals": ("proposals", "object proposals of photographs, and their recall on VOC"),
    "crf": ("crf", "refine any network's scores for a photograph with a dense CRF"),
    "crf-search": ("crf_search", "parameters of a dense CRF by grid search on held-out photographs"),
    "evaluate": ("evaluate", "comp6 score of a folder of results"),
    "data": ("data", "make or convert data sets (shapes, stage1, stage2)"),
    "train": ("train", "train from a solver prototxt"),
    "plot": ("plot", "draw loss and accuracy from logs of training"),
    "bn-testable": ("bn_testable", "turn batch-statistics BN into INFERENCE BN with averaged statistics"),
    "demo": ("demo", "the whole job on what is shipped"),
    "figure": ("figure", "the figures of the DeconvNet paper: activations, proposals, compare, layers"),
    "fetch": ("fetch", "download the authors' weights and data, checked and resumed"),
    "doctor": ("doctor", "versions, build, devices, what is missing and how to get it"),
}


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="repro", description="The Caffe segmentation years, alive in PyTorch.")
    parser.add_argument("--version", action="version", version=f"repro {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (module, text) in VERBS.items():
        sub = subparsers.add_parser(name, help=text, description=text)
        if name == verb:
            loaded = importlib.import_module(f"repro.cli.{module}")
            loaded.add_arguments(sub)
            sub.set_defaults(run=loaded.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 a check failed, 2 bad input (one line on stderr), 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = next((a for a in arguments if not a.startswith("-")), None)
    usual = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        args = build_parser(verb).parse_args(arguments)
        return int(args.run(args) or 0)
    except CheckFailed as error:
        print(f"repro: {_one_line(error)}", file=sys.stderr)
        return 1
    except ReproError as error:
        print(f"repro: {_one_line(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # the reader (`| head`) went away: not an error, but nothing more may be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"repro: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("repro: interrupted", file=sys.stderr)
        return 130
    finally:
        warnings.showwarning = usual


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own warnings in one line, as errors are; others as Python shows them."""
    if category.__module__.startswith("repro."):
        print(f"repro: warning: {message}", file=sys.stderr)
    else:
        (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
