"""`repro fetch NAME… [-o DIR]`: original weights and data from where their authors put them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from repro.cli.progress import Step, progress
from repro.errors import FetchError, InputError
from repro.fetch import Downloaded, Expected, download, take_member, unpack
from repro.files import digests
from repro.manifest import ListedFile, read

_MEGA = 1_000_000
_ARCHIVES = (".tar", ".tar.gz", ".tgz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="a file of the list, or the beginning of its name")
    add("--list", action="store_true", help="what there is: size, licence, what is known to check it by")
    add("-o", "--output", type=Path, metavar="DIR", help="default: weights/ for weights, else here")
    add("--unpack", action="store_true", help="unpack archives below DIR too; the archive stays")
    add("--force", action="store_true", help="replace a file that is there and differs")
    add("--from", dest="source", metavar="URL", help="another address; the list's digests hold for it")
    add("--manifest", type=Path, metavar="FILE", help="a list of your own (default: weights/manifest.toml)")
    add("--timeout", type=float, default=60.0, metavar="S", help="seconds without a byte before a new try (default 60)")


def run(args: argparse.Namespace) -> int:
    files = read(args.manifest)
    if args.list or not args.names:
        print(listing(files))
        return 0
    chosen = [_named(files, name) for name in args.names]
    if args.source and len(chosen) > 1:
        raise InputError("--from is the address of one file; name one")
    if not args.timeout > 0:
        raise InputError(f"--timeout {args.timeout:g}: more than 0 seconds are needed")
    for file in chosen:
        _fetch(file, args)
    return 0


def listing(files: Sequence[ListedFile]) -> str:
    """Every file with its size, what is known to check it by, its licence and its address."""
    lines = []
    for file in files:
        size = f"{file.bytes:,} bytes" if file.bytes else "size unknown"
        known = ", ".join(_expected(file).digests()) or "no digest known"
        lines += [f"{file.name}  [{file.kind}; {size}; {known}]", f"    {file.what}", f"    licence: {file.licence}"]
        packed = f" (as {file.member} in that archive)" if file.archive else ""
        address = f"{file.url}{packed}" if file.url else f"no address of its own; see {file.home}"
        lines.append("    ships with the project" if file.shipped else f"    {address}")
    return "\n".join(lines)


def _named(files: Sequence[ListedFile], name: str) -> ListedFile:
    found = [file for file in files if file.name == name] or [file for file in files if file.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"'{name}' may be {', '.join(file.name for file in found)}; say which")
    raise InputError(f"no file '{name}' in the list; there are {', '.join(file.name for file in files)}")


def _expected(file: ListedFile) -> Expected:
    return Expected(file.bytes, file.sha256, file.sha1, file.md5)


def _fetch(file: ListedFile, args: argparse.Namespace) -> None:
    addresses = [args.source] if args.source else [url for url in (file.url, *file.mirrors) if url]
    folder = args.output or (file.path.parent if file.kind == "weights" else Path())
    target = folder / file.name
    if not addresses and file.home:
        raise InputError(f"{file.name}: no address gives this file; get it by way of {file.home} and put it to "
                         f"{target}, or name its address with --from")  # fmt: skip
    if not addresses:
        raise InputError(f"{file.name} ships with the project and has no address; see weights/README.md")
    expected = _expected(file)
    print(f"{file.name}: {file.what}\n  licence: {file.licence}\n  to: {target}")
    if not (target.exists() and _is_there(target, expected, args.force)):
        if file.archive:
            _from_archive(file, addresses, target, args)
        else:
            _report(_download(addresses, target, expected, args.timeout))
    if args.unpack:
        _unpack(target, folder, args.force)


def _from_archive(file: ListedFile, addresses: Sequence[str], target: Path, args: argparse.Namespace) -> None:
    """The file out of its archive, which stays: it may hold others of the list."""
    archive = target.with_name(file.archive)
    if archive.is_file() and not args.force:
        print(f"  {archive} is there; --force downloads it again")
    else:
        _report(_download(addresses, archive, Expected(), args.timeout))
    take_member(archive, file.member, target)
    known = _expected(file).digests()
    found = digests(target, {"sha256", *known})
    if any(found[name] != value for name, value in known.items()):
        target.unlink()
        raise FetchError(f"{archive}: '{file.member}' in it is another file than the one that is known; it is removed")
    print(f"  {file.member} of {archive.name}: {target.stat().st_size:,} bytes; sha256 {found['sha256']}")


def _is_there(target: Path, expected: Expected, force: bool) -> bool:
    """Whether the file needs no download; FetchError where it is another one."""
    if not target.is_file():
        raise FetchError(f"{target}: is no file")
    known = expected.digests()
    size = target.stat().st_size
    if force and not known:
        return False
    same = (not expected.bytes or size == expected.bytes) and digests(target, known) == known
    if same:
        print("  is there" + (", whole" if known else f", {size:,} bytes; no digest is known to check it by"))
    elif not force:
        raise FetchError(f"{target}: is there, {size:,} bytes, and is not the file of the list; --force replaces it")
    return same


def _download(addresses: Sequence[str], target: Path, expected: Expected, timeout: float) -> Downloaded:
    for place, url in enumerate(addresses):
        print(f"  from: {url}", flush=True)
        try:
            with progress(f"{target.name}, MB", _megabytes(expected.bytes) or None) as step:
                return download(url, target, expected, on_bytes=_Count(step), timeout=timeout)
        except FetchError as error:
            if place + 1 == len(addresses):
                raise
            print(f"repro: warning: {error}; trying the next address", file=sys.stderr)
        except KeyboardInterrupt:
            part = target.with_name(target.name + ".part")
            if part.exists():
                print(f"\n{part.stat().st_size:,} bytes are kept in {part}; the same command goes on", file=sys.stderr)
            raise
    raise AssertionError("at least one address")


def _report(got: Downloaded) -> None:
    resumed = f", {got.resumed:,} of them from an earlier run" if got.resumed else ""
    print(f"  {got.bytes:,} bytes{resumed}; sha256 {got.sha256}")
    if got.checked:
        print("  the digest agrees with the list's")
    else:
        print(f"repro: warning: {got.path.name}: no digest is known, so nothing tells whether this is the authors' "
              "file; compare the sha256 with somebody else's", file=sys.stderr)  # fmt: skip


def _unpack(target: Path, folder: Path, force: bool) -> None:
    if not target.name.endswith(_ARCHIVES):
        print(f"  {target.name} is no archive, nothing to unpack")
        return
    with progress(f"unpacking {target.name}, files") as step:
        done = unpack(target, folder, force=force, step=step)
    kept = f" ({done.kept:,} were there)" if done.kept else ""
    print(f"  unpacked {done.files:,} files{kept}, {done.bytes:,} bytes, below {folder}")


class _Count:
    """Bytes into whole megabytes of a progress bar, which go on even where a download starts again."""

    def __init__(self, step: Step) -> None:
        self._step, self._shown = step, 0

    def __call__(self, here: int, total: int | None) -> None:
        whole = _megabytes(here) if here == total else here // _MEGA
        if whole > self._shown:
            self._step(whole - self._shown, note="" if not total else f"of {_megabytes(total)} MB")
            self._shown = whole


def _megabytes(count: int) -> int:
    return -(-count // _MEGA)
