"""A fork of DeconvNet's fork (ibrahim85/autoencoder-hyperestimate) that adds LOCAL, locally connected layers."""

from __future__ import annotations

from repro.caffe.schema.dialects.deconvnet import DECONVNET
from repro.caffe.schema.dialects.dialect import Dialect

DECONVNET_LOCAL = Dialect(
    "deconvnet_local",
    "DeconvNet's fork with locally connected layers, 2016",
    DECONVNET.table
    + """
message V1LayerParameter
  local_param ? LocalParameter
message LayerParameter
  local_param ? LocalParameter
enum V1LayerParameter.LayerType LOCAL=54
message LocalParameter
  num_output 1 uint32, bias_term 2 bool = true, pad 3 uint32 = 0, kernel_size 4 uint32, stride 6 uint32 = 1
  weight_filler 7 FillerParameter, bias_filler 8 FillerParameter
""",
    {**DECONVNET.v1_types, "LOCAL": "Local"},
    DECONVNET.types + " Local",
)
