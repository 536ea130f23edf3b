"""The systems by name. A system's module is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from repro.errors import InputError
from repro.papers.system import Network, System

# name -> module with SYSTEM
SYSTEMS: dict[str, str] = {
    "deconvnet": "repro.papers.deconvnet.system",
    "fcn": "repro.papers.fcn",
    "segnet": "repro.papers.segnet",
    "dilation": "repro.papers.dilation",
    "deeplab_v1": "repro.papers.deeplab_v1",
    "deeplab_v2": "repro.papers.deeplab_v2",
    "pspnet": "repro.papers.pspnet",
    "crfrnn": "repro.papers.crfrnn",
    "decouplednet": "repro.papers.decouplednet",
    "unet": "repro.papers.unet",
    "enet": "repro.papers.enet",
    "icnet": "repro.papers.icnet",
}


def system(name: str) -> System:
    """A system by name; InputError names those there are."""
    if name not in SYSTEMS:
        raise InputError(f"system '{name}': there are {', '.join(SYSTEMS)}")
    found = importlib.import_module(SYSTEMS[name]).SYSTEM
    assert isinstance(found, System)
    return found


def systems() -> Iterator[System]:
    """All systems, in order."""
    yield from map(system, SYSTEMS)


def network(name: str) -> tuple[System, Network]:
    """A network by name, with its system; InputError names the networks there are."""
    known = {network.name: (found, network) for found in systems() for network in found.networks}
    if name not in known:
        raise InputError(f"model '{name}': there are {', '.join(known)}")
    return known[name]
