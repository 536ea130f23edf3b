"""The fork of CRF-RNN (torrvision/caffe): MultiStageMeanfield, with V1 layers in 2015 and V2 layers later."""

from __future__ import annotations

from repro.caffe.schema.dialects.dialect import Dialect

CRFASRNN = Dialect(
    "crfasrnn",
    "torrvision/caffe, 2015-17: CRF-RNN; the V2 numbers, of forks that merge it",
    """
message V1LayerParameter
  multi_stage_meanfield_param ? MultiStageMeanfieldParameter
message LayerParameter
  multi_stage_meanfield_param 147 MultiStageMeanfieldParameter
message MultiStageMeanfieldParameter
  compatibility_mode 1 Mode = POTTS, threshold 2 float
  theta_alpha 3 float = 10, theta_beta 4 float = 10, theta_gamma 5 float = 10, num_iterations 6 uint32 = 1
  spatial_filter_weight 7 float = 1, bilateral_filter_weight 8 float = 1
  forced_spatial_filter_weight 9 float, forced_bilateral_filter_weight 10 float
  spatial_filter_weights_str 19 string, bilateral_filter_weights_str 20 string, force_cpu 29 bool = false
enum MultiStageMeanfieldParameter.Mode POTTS=0 CUSTOM=?
enum V1LayerParameter.LayerType CROP=40 MULTI_STAGE_MEANFIELD=?
message LossParameter
  normalize 2 bool = true
""",
    {"CROP": "Crop", "MULTI_STAGE_MEANFIELD": "MultiStageMeanfield"},
    "MultiStageMeanfield",
)
