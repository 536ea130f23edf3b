"""The names of pydensecrf, so that a script written for it changes its imports and nothing else.

``import repro.crf.pydensecrf.densecrf as dcrf`` and ``from repro.crf.pydensecrf.utils import unary_from_softmax``.
Arrays may be strided, of any real dtype, or torch tensors. For batches, gradients and presets see repro.crf.DenseCRF.
Source: lucasb-eyer/pydensecrf (2723c7f), pydensecrf/densecrf.pyx and utils.py.
"""

from repro.crf.pydensecrf import densecrf, utils

__all__ = ["densecrf", "utils"]
