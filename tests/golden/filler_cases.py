"""Fillers whose values BVLC Caffe drew with a seed; read by Caffe's Python 3.8 and by the tests."""

SEED = 7
# name -> (num_output, kernel, the filler); of 3 input channels
CASES = {
    "constant": (4, 5, 'type: "constant" value: 0.3'),
    "uniform": (4, 5, 'type: "uniform" min: -0.5 max: 1.5'),
    "gaussian": (4, 5, 'type: "gaussian" mean: 2 std: 3'),
    "gaussian_sparse": (8, 5, 'type: "gaussian" std: 0.5 sparse: 3'),
    "xavier": (4, 5, 'type: "xavier"'),
    "xavier_out": (4, 5, 'type: "xavier" variance_norm: FAN_OUT'),
    "xavier_average": (4, 5, 'type: "xavier" variance_norm: AVERAGE'),
    "msra": (4, 5, 'type: "msra"'),
    "msra_average": (4, 5, 'type: "msra" variance_norm: AVERAGE'),
    "positive_unitball": (4, 5, 'type: "positive_unitball"'),
    "bilinear_4": (2, 4, 'type: "bilinear"'),
    "bilinear_3": (2, 3, 'type: "bilinear"'),
    "bilinear_7": (2, 7, 'type: "bilinear"'),
    "bilinear_5": (2, 5, 'type: "bilinear"'),
    "bilinear_16": (1, 16, 'type: "bilinear"'),
    # long enough for the tail of the normal distribution; only its first and last values are stored
    "gaussian_long": (400, 11, 'type: "gaussian" std: 0.01'),
}
ENDS = 200


def net(name):
    """A net of one convolution."""
    count, kernel, filler = CASES[name]
    text = (
        'name: "f" input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 20 layer { name: "c" '
        'type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: %d kernel_size: %d '
        "weight_filler { %s } } }\n"
    )
    return text % (count, kernel, filler)


# whole nets, in the folder of feeds_bvlc: data layers take from the same random numbers first
DATA = {
    "image": """layer { name: "d" type: "ImageData" top: "data" top: "label"
      image_data_param { source: "images.txt" batch_size: 3 new_height: 13 new_width: 15 shuffle: true rand_skip: 2 }
      transform_param { mirror: true crop_size: 9 } }""",
    "image_test": """layer { name: "d" type: "ImageData" top: "data" top: "label"
      image_data_param { source: "images.txt" batch_size: 3 new_height: 13 new_width: 15 }
      transform_param { crop_size: 9 } }""",
    "lmdb": """layer { name: "d" type: "Data" top: "data" top: "label"
      data_param { source: "pixels.mdb" backend: LMDB batch_size: 4 } transform_param { crop_size: 9 } }""",
    "memory": """layer { name: "d" type: "MemoryData" top: "data" top: "label"
      memory_data_param { batch_size: 1 channels: 3 height: 9 width: 9 } transform_param { mirror: true } }""",
}
LAYERS = """
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 5 kernel_size: 3
  weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "p" type: "InnerProduct" bottom: "c" top: "p" inner_product_param { num_output: 4
  weight_filler { type: "gaussian" std: 0.1 } bias_filler { type: "constant" value: 0.5 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "p" bottom: "label" top: "loss" }
"""


def whole(name):
    """A net with a data layer, and its phase."""
    return 'name: "w" ' + DATA[name] + LAYERS, "TEST" if name.endswith("_test") else "TRAIN"
