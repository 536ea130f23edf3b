"""The fork of CRF-RNN (torrvision/caffe): MultiStageMeanfield, with V1 layers in 2015 and V2 layers later."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

CRFASRNN = Dialect(
    "crfasrnn",
    "torrvision/caffe, 2015-17: CRF-RNN; the numbers of its fields are not verified",
    """
message V1LayerParameter
  multi_stage_meanfield_param ? MultiStageMeanfieldParameter
message LayerParameter
  multi_stage_meanfield_param ? MultiStageMeanfieldParameter
message MultiStageMeanfieldParameter
  num_iterations ? uint32, compatibility_mode ? Mode = POTTS, threshold ? float
  theta_alpha ? float, theta_beta ? float, theta_gamma ? float
  spatial_filter_weight ? float, bilateral_filter_weight ? float
  spatial_filter_weights_str ? string, bilateral_filter_weights_str ? string
enum MultiStageMeanfieldParameter.Mode POTTS=? CUSTOM=?
enum V1LayerParameter.LayerType CROP=40 MULTI_STAGE_MEANFIELD=?
message LossParameter
  normalize 2 bool = true
""",
    {"CROP": "Crop", "MULTI_STAGE_MEANFIELD": "MultiStageMeanfield"},
    "MultiStageMeanfield",
)
