"""From a solver prototxt to a `Solver`: nets, feeds, optimizer, rate, tests and snapshots."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from repro.caffe import NetSpec, SolverSpec, load_solver
from repro.data.feeds import Feed, file_shapes, open_feeds, share_feed
from repro.errors import InputError, UnsupportedError
from repro.layers import Layer
from repro.loading import share_parameters
from repro.net import Net
from repro.sharing import multipliers, separate
from repro.solver.caffe_start import start_as_caffe
from repro.solver.initial import fill_zeros, load_initial, starting_at_zero
from repro.solver.layout import channels_last
from repro.solver.log import TrainingLog
from repro.solver.lr_policy import LearningRate
from repro.solver.mixed import keep_sums_long
from repro.solver.optim import OPTIMIZERS, CaffeOptimizer
from repro.solver.ranks import Ranks
from repro.solver.snapshot import MOST_SEED, feed_state_path, read_feed_state, restore_snapshot, save_snapshot
from repro.solver.solver import Schedule, Solver, TestNet, entries_by_multiplier, parts_of_test

# layers whose parameter gradients the 2015 fork overwrites in each backward pass (bn_layer.cpp: gemv with beta 0)
OVERWRITING_TYPES = ("BN",)
# the settings of a solver prototxt that only some updates have
OWN_SETTINGS = {
    "AdaGrad": ("delta",),
    "RMSProp": ("delta", "rms_decay"),
    "AdaDelta": ("delta",),
    "Adam": ("delta", "momentum2"),
}


def build_solver(
    solver: str | Path | SolverSpec,
    *,
    weights: Sequence[str | Path] = (),
    snapshot: Path | None = None,
    caffe: str = "2015",
    data_root: Path | None = None,
    out: Path | None = None,
    device: str | torch.device = "cpu",
    seed: int | None = None,
    max_iter: int | None = None,
    workers: int = 2,
    cache_bytes: int = 512 << 20,
    feeds: Sequence[Feed] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    log: TrainingLog | None = None,
    numerics: str = "native",
    make_net: Callable[[NetSpec], Any] | None = None,
    ranks: Ranks | None = None,
    autocast: torch.dtype | None = None,
    fill_missing: str | None = None,
    caffe_random: bool = False,
    arrays: Mapping[str, NDArray[Any]] | None = None,
    dialect: str | None = None,
) -> Solver:
    """A solver ready to `solve`.

    ``weights`` (see `load_initial`) are copied by layer name before the first iteration; layers without keep their
    fillers' values, those without either get the filler ``fill_missing``. With ``caffe_random`` fillers draw what BVLC
    Caffe draws on the CPU. ``snapshot`` is a .solverstate to go on from, instead of weights. ``arrays`` are for
    MemoryData layers. ``caffe`` is "2015" or "bvlc" (see `optim`).
    Relative data paths start from ``data_root``; snapshot_prefix from ``out``. ``seed`` goes before the solver's
    random_seed, that of a snapshot's feed state before a fresh one; without any, one is drawn and told in the log.
    ``feeds`` replace the net's data layers (then the net is trained only: no test nets), ``shapes`` are those of
    their blobs where the prototxt cannot tell. ``numerics`` is "native" or "exact", for the nets and the updates.
    ``ranks``: the processes that train together; ``autocast``: the dtype of mixed precision, native only. In both see
    `Solver`. ``dialect`` forces the fork that the nets are read as. ``make_net`` builds the training net in the place
    of `repro.Net`; with ``feeds=[]`` it finds its own data.
    """
    spec = solver if isinstance(solver, SolverSpec) else load_solver(solver, dialect)
    message = spec.message
    log, ranks = log or TrainingLog(), ranks or Ranks()
    if snapshot is not None and weights:
        raise InputError("a snapshot has its own weights; give --snapshot or --weights, not both")
    seed = int(ranks.totals([_seed(message, seed, snapshot, log) if ranks.is_first else 0])[0])
    train_spec = spec.load_train_net(dialect)
    steps = int(message.max_iter if max_iter is None else max_iter)
    schedule = _schedule(message, steps)
    if schedule.iter_size % ranks.world:
        raise InputError(
            f"{message.where}: iter_size {schedule.iter_size} cannot be shared evenly by {ranks.world} processes"
        )

    torch.manual_seed(seed)
    if make_net is not None:
        net = make_net(train_spec)
        numerics = net.numerics
    else:
        if feeds is None:
            shapes = {**file_shapes(train_spec, data_root), **(shapes or {})}
        net = Net(train_spec, numerics=numerics, shapes=shapes, device=device, seed=seed)
    if autocast is not None:
        if numerics != "native" or make_net is not None:
            raise InputError(f"mixed precision is for native numerics, not for {numerics!r}")
        if autocast != torch.bfloat16:
            raise UnsupportedError(
                f"mixed precision in {str(autocast).removeprefix('torch.')}: only bfloat16 is offered; float16's small "
                "range needs scaled losses, which Caffe's updates, clipping and snapshots know nothing of"
            )
        keep_sums_long(net)
    torch.manual_seed(seed + ranks.rank)
    if caffe_random:
        if caffe != "bvlc":
            raise InputError('the 2015 fork\'s random numbers are not known; choose caffe="bvlc" (--caffe bvlc)')
        start_as_caffe(net, seed)
    on_cpu = torch.device(device).type == "cpu"
    if make_net is None and numerics == "native" and (on_cpu or autocast is not None):
        channels_last(net)
    given: set[str] = set()
    for path in [*weights, *_own_weights(message, spec, weights, snapshot)]:
        report = load_initial(net, path) if make_net is None else net.load(path) or path
        given.update(getattr(report, "loaded", ()))
        log.line(f"Finetuning from {report}")
    if make_net is None and snapshot is None:
        _mind_zeros(net, fill_missing, log, given)
    optimizer = _optimizer(message, _groups(net, caffe), caffe, schedule.iter_size, numerics)
    reading = {"root": data_root, "workers": workers, "cache_bytes": cache_bytes, "arrays": arrays}
    opened = list(feeds) if feeds is not None else _open(train_spec, seed, reading)
    opened = [share_feed(feed, ranks.rank, ranks.world) for feed in opened]
    tests = [] if feeds is not None else _tests(spec, net, seed, reading, device, ranks, dialect)

    prefix, hdf5 = _prefix(message, spec, out), message.snapshot_format == "HDF5"
    if hdf5 and find_spec("h5py") is None:
        raise UnsupportedError(
            f"{message.where}: snapshot_format HDF5 needs the package h5py; pip install 'repro[hdf5]'"
        )
    built = Solver(
        net,
        opened,
        optimizer,
        LearningRate.from_message(message, steps),
        schedule,
        overwritten=_overwritten(train_spec, net) if caffe == "2015" else (),
        tests=tests,
        loss_weights=_loss_weights(train_spec),
        device=device,
        log=log,
        save=lambda s: save_snapshot(s, prefix, seed=seed, hdf5=hdf5),
        diagnose=lambda batch: first_non_finite(net, batch),
        name=train_spec.name,
        ranks=ranks,
        autocast=autocast,
    )
    if snapshot is not None:
        restore_snapshot(built, snapshot)
    ranks.take_first([entry[2].data for entry in net.param_entries])
    return built


@torch.no_grad()
def first_non_finite(net: Net, batch: Mapping[str, torch.Tensor]) -> str | None:
    """The first layer whose tops hold a value that is not finite for this batch; None if all are."""
    for name, tensor in batch.items():
        if not torch.isfinite(tensor).all():
            return f"(input) {name}"
    for key, blob in net(capture=True, **batch).items():
        if blob.is_floating_point() and not torch.isfinite(blob).all():
            return key.split("__")[1]
    return None


def _own_weights(message: Any, spec: SolverSpec, given: Sequence[object], snapshot: Path | None) -> list[Path]:
    """The files the solver's own `weights` names, looked for beside it and here; the caller's go before them."""
    if given or snapshot is not None:
        return []
    names = [name.strip() for text in message.weights for name in str(text).split(",") if name.strip()]
    beside = Path(spec.source).parent
    return [beside / name if (beside / name).is_file() else Path(name) for name in names]


def _mind_zeros(net: Net, fill_missing: str | None, log: TrainingLog, given: Collection[str]) -> None:
    """Say which layers have no values, or fill them; zeros that a file gives (FCN's new scores) are meant."""
    if fill_missing is not None:
        filled = fill_zeros(net, fill_missing)
        log.line(f"Filled by {fill_missing}: {', '.join(filled) or 'no layer was without values'}")
    elif zeros := [name for name in starting_at_zero(net) if name not in given]:
        log.line(
            f"Neither weights nor fillers for {', '.join(zeros[:8])}: they start at 0 and learn nothing useful; give "
            "--weights, or --fill-missing msra"
        )


def _seed(message: Any, given: int | None, snapshot: Path | None, log: TrainingLog) -> int:
    if given is not None:
        if not 0 <= given <= MOST_SEED:
            raise InputError(f"a seed is a whole number of 0..{MOST_SEED}, not {given}")
        return given
    if snapshot is not None and feed_state_path(snapshot).is_file():
        return int(read_feed_state(feed_state_path(snapshot)).get("seed", 0))
    if message.has("random_seed") and message.random_seed >= 0:
        return int(message.random_seed)
    seed = secrets.randbelow(1 << 31)
    log.line(f"No random_seed in {message.where.source}; drew {seed} (repeat this run with --seed {seed})")
    return seed


def _schedule(message: Any, max_iter: int) -> Schedule:
    if max_iter < 0 or message.iter_size < 1 or message.average_loss < 1:
        raise InputError(
            f"{message.where}: max_iter {max_iter} must not be negative, iter_size {message.iter_size} and "
            f"average_loss {message.average_loss} at least 1"
        )
    if message.test_iter and not message.test_interval:
        raise InputError(f"{message.where}: test_iter without test_interval")
    if message.snapshot_diff:
        raise UnsupportedError(f"{message.where}: snapshot_diff is not written")
    return Schedule(
        max_iter=max_iter,
        iter_size=int(message.iter_size),
        display=int(message.display or 0),
        average_loss=int(message.average_loss),
        snapshot=int(message.snapshot or 0),
        snapshot_after_train=bool(message.snapshot_after_train),
        test_interval=int(message.test_interval or 0),
        test_initialization=bool(message.test_initialization),
        test_compute_loss=bool(message.test_compute_loss),
    )


def _groups(net: Any, caffe: str) -> list[dict[str, Any]]:
    """One group per parameter in Caffe's order; in the 2015 Caffe each layer of a shared one has its own.

    Source: Net::AppendParam and Net::Update, src/caffe/net.cpp (2015); BVLC Caffe 1.0 has its learnable_params.
    """
    if caffe == "bvlc" or not getattr(net, "shared", ()):
        return entries_by_multiplier(net.param_entries)
    separate(net.shared)
    owner = {(blob.layer, blob.index): (blob.owner, blob.owner_index) for blob in net.shared}
    groups: list[dict[str, Any]] = []
    number: dict[tuple[Layer, int], int] = {}
    for layer in net.caffe_layers:
        for index, parameter in enumerate(layer.blobs):
            key = owner.get((layer, index), (layer, index))
            lr_mult, decay_mult = multipliers(layer, index, ())
            shares = number.setdefault(key, len(groups)) if key in owner.values() else None
            groups.append({"params": [parameter], "lr_mult": lr_mult, "decay_mult": decay_mult, "shares": shares})
    return groups


def _optimizer(message: Any, groups: list[dict[str, Any]], caffe: str, iter_size: int, numerics: str) -> CaffeOptimizer:
    kind = str(message.type)
    if kind not in OPTIMIZERS:
        raise UnsupportedError(f"{message.where}: solver type '{kind}' is not available; {', '.join(OPTIMIZERS)} are")
    extra = {name: float(getattr(message, name)) for name in OWN_SETTINGS.get(kind, ())}
    try:
        return OPTIMIZERS[kind](
            groups,
            float(message.base_lr or 0),
            float(message.momentum or 0),
            float(message.weight_decay or 0),
            caffe=caffe,
            iter_size=iter_size,
            regularization=str(message.regularization_type),
            clip_gradients=float(message.clip_gradients),
            numerics=numerics,
            **extra,
        )
    except InputError as error:
        raise InputError(f"{message.where}: {error}") from None


def _open(spec: NetSpec, seed: int, reading: Mapping[str, Any]) -> list[Feed]:
    return open_feeds(spec, seed, **reading)


def _tests(
    spec: SolverSpec,
    net: Net,
    seed: int,
    reading: Mapping[str, Any],
    device: str | torch.device,
    ranks: Ranks,
    dialect: str | None,
) -> list[TestNet]:
    counts = [int(n) for n in spec.message.test_iter]
    if not counts:
        return []
    nets = spec.load_test_nets(dialect)
    if len(nets) != len(counts):
        raise InputError(f"{spec.source}: {len(counts)} test_iter for {len(nets)} test nets")
    tests = []
    for test_spec, count in zip(nets, counts, strict=True):
        test_net = Net(test_spec, numerics=net.numerics, shapes=file_shapes(test_spec, reading["root"]), device=device)
        share_parameters(test_net, net)
        parts = parts_of_test(count, ranks)
        feeds = _open(test_spec, seed, reading)
        shared = [share_feed(feed, ranks.rank % parts, parts) for feed in feeds]
        tests.append(TestNet(test_net, shared, count))
    return tests


def _overwritten(spec: NetSpec, net: Net) -> list[torch.nn.Parameter]:
    names = {layer.name for layer in spec.layers if layer.type in OVERWRITING_TYPES}
    return [parameter for name, parameters in net.params.items() if name in names for parameter in parameters]


def _loss_weights(spec: NetSpec) -> dict[str, float]:
    weights: dict[str, float] = {}
    for layer in spec.layers:
        given = layer.loss_weights or ((1.0,) if layer.type.endswith("Loss") else ())
        weights.update({top: weight for top, weight in zip(layer.tops, given, strict=False) if weight})
    return weights


def _prefix(message: Any, spec: SolverSpec, out: Path | None) -> Path:
    """Where snapshots go and how their names begin; a snapshot_prefix that is a folder gets the solver's name, as in
    BVLC's UpgradeSnapshotPrefixProperty."""
    given, name = str(message.snapshot_prefix or ""), Path(spec.source).stem.strip("<>")
    prefix = (out or Path()) / (given or name)
    return prefix / name if given and (given.endswith("/") or prefix.is_dir()) else prefix
