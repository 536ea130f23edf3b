"""What each fork of Caffe changed in the schema, as tables laid over BVLC's; one file for each family of forks.

Forks reuse the numbers of fields and enum values, so there is no schema that fits all of them. Where a fork's fields
exist only in its V1 message, the V2 message gets the same field without a number, so that an upgraded net has a place
for it; a number that is not known is left open in the same way, and the field then exists in the text format only.
Where several dialects read a file with the same meaning, the one listed first gives its name.
"""

from __future__ import annotations

from repro.caffe.schema.dialects.autoencoder import DECONVNET_LOCAL
from repro.caffe.schema.dialects.crfasrnn import CRFASRNN
from repro.caffe.schema.dialects.deconvnet import DECONVNET
from repro.caffe.schema.dialects.deeplab import DEEPLAB, DEEPLAB_V2
from repro.caffe.schema.dialects.detection import MOBILE, OCR
from repro.caffe.schema.dialects.dialect import Dialect
from repro.caffe.schema.dialects.faster_rcnn import FASTER_RCNN, RFCN
from repro.caffe.schema.dialects.greentea import GREENTEA
from repro.caffe.schema.dialects.pspnet import PSPNET
from repro.caffe.schema.dialects.segnet import SEGNET, SEGNET_CUDNN5
from repro.caffe.schema.dialects.small import CCNN, DILATION, POOLING_ND, SIMPLE_CROP
from repro.caffe.schema.dialects.ssd import SSD
from repro.caffe.schema.dialects.tools import DEEPDETECT, NVCAFFE, SOEAVER

DIALECTS: tuple[Dialect, ...] = (
    DECONVNET,
    DECONVNET_LOCAL,
    SEGNET,
    SEGNET_CUDNN5,
    DEEPLAB,
    DEEPLAB_V2,
    PSPNET,
    SSD,
    FASTER_RCNN,
    RFCN,
    CRFASRNN,
    GREENTEA,
    DEEPDETECT,
    SOEAVER,
    NVCAFFE,
    SIMPLE_CROP,
    POOLING_ND,
    MOBILE,
    OCR,
    CCNN,
    DILATION,
)

__all__ = ["DIALECTS", "Dialect"]
