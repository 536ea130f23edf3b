"""Every exception this project raises on purpose.

A message says what was found, where (file, line:column or byte offset, layer name), what was expected and, where
there is one, the way out. The command line prints it on one line and exits with 2; ``CheckFailed`` exits with 1.
"""

from __future__ import annotations


class ReproError(Exception):
    """Base of all errors below: bad input or a failed check, never a bug of ours."""


class FormatError(ReproError):
    """A prototxt, caffemodel, solverstate, image, box or index file that is not what it should be."""


class SchemaError(ReproError):
    """A well-formed file whose fields, types or enum values do not exist in the chosen dialect."""


class UnsupportedError(ReproError):
    """Something real Caffe would accept and this project does not (yet) do; names all of it at once."""


class NetError(ReproError):
    """A network that cannot be built: unknown bottoms, shapes that do not fit, missing parameters of a layer."""


class WeightsError(ReproError):
    """Weights that do not belong to the network: other shapes, missing layers, misshapen blobs."""


class InputError(ReproError):
    """An array, image or argument with the wrong shape, dtype, range or size."""


class DataError(ReproError):
    """A data set on disk that is incomplete or inconsistent."""


class DeviceError(ReproError):
    """A device or compiled extension that is asked for and not there."""


class TrainingError(ReproError):
    """Training that cannot go on: a loss that is not finite, a snapshot that does not fit."""


class CheckFailed(ReproError):
    """A check that the user asked for and that did not hold (exit status 1)."""


class FetchError(ReproError):
    """A download that failed or brought another file than the one asked for."""
