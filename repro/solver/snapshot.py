"""Snapshots: weights and solver state as Caffe writes them, and beside them what a bit-for-bit resume needs besides.

`P_iter_N.caffemodel`, `P_iter_N.feedstate.json` and `P_iter_N.solverstate` are written in this order, each whole or
not at all: where the solver state is there, the rest is. With `snapshot_format: HDF5` the first and the last end in
`.h5`, as in Caffe.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import torch

from repro.caffe import read_solverstate, write_solverstate
from repro.errors import FormatError, TrainingError
from repro.files import write_atomic
from repro.solver.solver import Solver

FEED_STATE_VERSION = 1
# a seed is an int64 to Caffe and torch
MOST_SEED = (1 << 63) - 1


def save_snapshot(solver: Solver, prefix: Path, *, seed: int, hdf5: bool = False) -> Path:
    """Write the three files of a snapshot; returns the solver state's path. Of several processes the first writes.

    The state's blobs have the form of the optimizer's age, and its `learned_net` is the weights' path as Caffe writes
    it, so that a Caffe started in the same folder goes on from it.
    """
    stem = prefix.parent / f"{prefix.name}_iter_{solver.iteration}"
    feed_state = _feed_state(solver, seed)
    model, state = (Path(f"{stem}.{kind}{'.h5' * hdf5}") for kind in ("caffemodel", "solverstate"))
    if not solver.ranks.is_first:
        return state
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        solver.net.save(model)
        write_atomic(feed_state_path(state), json.dumps(feed_state))
        write_solverstate(
            state,
            iteration=solver.iteration,
            learned_net=str(model),
            history=(h.detach().cpu().contiguous().numpy() for h in solver.optimizer.history()),
            current_step=solver.rate.current_step,
            version="HDF5" if hdf5 else "V1" if solver.optimizer.caffe == "2015" else "V2",
        )
    except OSError as error:
        raise TrainingError(f"{stem}: the snapshot cannot be written ({error.strerror})") from error
    solver.log.line(f"Snapshotting to {model}")
    solver.log.record("snapshot", {"iteration": solver.iteration, "path": str(state)})
    return state


def restore_snapshot(solver: Solver, path: Path) -> None:
    """Go on from a .solverstate of ours or of Caffe.

    With the feed state beside it, every later bit equals that of a run that never stopped; without (a snapshot of
    Caffe's) the data start from the beginning, which is said in the log. The weights are looked for under the name in
    the state: beside the state, where they are even after a folder was moved, then from the current folder.
    """
    state = read_solverstate(path)
    solver.net.load(_weights_of(path, state.learned_net))
    arrays = [torch.from_numpy(np.array(blob.array, np.float32)) for blob in state.history]
    try:
        solver.optimizer.load_history(arrays, state.iter)
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from None
    solver.iteration = state.iter
    solver.rate.current_step = state.current_step
    solver.log.line(f"Restoring previous solver status from {path}")
    side = feed_state_path(path)
    if side.is_file():
        _load_feed_state(solver, side)
    else:
        solver.log.line(f"No {side.name}: the data start from the beginning, not where the snapshot was taken")


def _weights_of(path: Path, learned_net: str) -> Path:
    """The weights' file that a state names, written by a Caffe on any system."""
    names = dict.fromkeys((Path(learned_net).name, PureWindowsPath(learned_net).name))
    for found in (*(path.parent / name for name in names if name), Path(learned_net)):
        try:
            if learned_net and found.is_file():
                return found
        except (OSError, ValueError):
            # a name that no file here can have
            continue
    raise TrainingError(f"{path}: its weights '{learned_net[:200]}' are neither there nor in {path.parent}")


def feed_state_path(state: Path) -> Path:
    return state.with_name(state.name.removesuffix(".h5").removesuffix(".solverstate") + ".feedstate.json")


def read_feed_state(path: Path) -> dict[str, Any]:
    """The feed state's JSON; FormatError if it is not one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not a feed state ({error})") from error
    if not isinstance(values, dict) or values.get("version") != FEED_STATE_VERSION:
        raise FormatError(f"{path}: not a feed state of version {FEED_STATE_VERSION}")
    seed = values.get("seed", 0)
    if type(seed) is not int or not 0 <= seed <= MOST_SEED:
        raise FormatError(f"{path}: the seed {str(seed)[:80]!r}; a whole number of 0..{MOST_SEED} was written there")
    return values


def _feed_state(solver: Solver, seed: int) -> dict[str, Any]:
    generators = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        generators["cuda"] = torch.cuda.get_rng_state()
    own = {k: base64.b64encode(v.numpy().tobytes()).decode() for k, v in generators.items()}
    first, *others = (json.loads(text) for text in solver.ranks.texts(json.dumps(own)))
    return {
        "version": FEED_STATE_VERSION,
        "iteration": solver.iteration,
        "seed": seed,
        "losses": solver.smoothed.losses,
        "feeds": [feed.state() for feed in solver.feeds],
        "test_feeds": [[feed.state() for feed in test.feeds] for test in solver.tests],
        "torch_rng": first,
        "other_rng": others,
    }


def _load_feed_state(solver: Solver, path: Path) -> None:
    values = read_feed_state(path)
    if values.get("iteration") != solver.iteration:
        raise TrainingError(
            f"{path}: taken at iteration {values.get('iteration')}, its solver state at {solver.iteration}"
        )
    try:
        _load_states(path, solver.feeds, values["feeds"])
        for test, states in zip(solver.tests, values["test_feeds"], strict=False):
            _load_states(path, test.feeds, states)
        solver.smoothed.losses = [float(v) for v in values["losses"]]
        generators = [values["torch_rng"], *values.get("other_rng", [])]
        rank = solver.ranks.rank
        if rank >= len(generators):
            # more processes than before: the first goes on with its draws, the others begin new ones
            torch.manual_seed(int(values["seed"]) + rank + 1000003 * solver.iteration)
            return
        rng = generators[rank]
        torch.set_rng_state(_bytes(rng["cpu"]))
        if "cuda" in rng and torch.cuda.is_available():
            torch.cuda.set_rng_state(_bytes(rng["cuda"]))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise FormatError(f"{path}: not the feed state of this net ({error!r})") from error


def _load_states(path: Path, feeds: Sequence[Any], states: Sequence[dict[str, Any]]) -> None:
    if len(states) != len(feeds):
        raise TrainingError(f"{path}: states of {len(states)} data layers, this net has {len(feeds)}")
    for feed, state in zip(feeds, states, strict=True):
        feed.load_state(state)


def _bytes(text: str) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), np.uint8).copy())
