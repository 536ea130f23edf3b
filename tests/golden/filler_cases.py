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
