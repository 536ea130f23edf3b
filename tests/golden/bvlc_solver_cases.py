"""The net, the data and the solvers of tests/golden/data/solver_bvlc; read by Caffe's Python 3.8 and by the tests."""

# ruff: noqa: E501  (the braces of the texts, and prototxt lines)
import numpy as np

BATCH = 2
ROWS = 8
STORED = (1, 5, 10)
DATA = {
    "caffe": """layer { name: "data" type: "Python" top: "data" top: "label"
  python_param { module: "bvlc_solver_layers" layer: "Rows" } }""",
    "repro": """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 9 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 dim: 1 dim: 9 dim: 9 } } }""",
}
NET = """name: "updates"
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "up" type: "Deconvolution" bottom: "conv" top: "up" param { lr_mult: 0.5 decay_mult: 3 } param { lr_mult: 0 }
  convolution_param { num_output: 5 kernel_size: 3 } }
layer { name: "relu_up" type: "ReLU" bottom: "up" top: "up" }
layer { name: "score" type: "Convolution" bottom: "up" top: "score" param { lr_mult: 10 } param { lr_mult: 20 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" loss_param { ignore_label: 255 } }
"""
MORE = 'iter_size: 4 weight_decay: 0.02 clip_gradients: 0.5 regularization_type: "%s"'
STEP = 'base_lr: %s lr_policy: "multistep" gamma: 0.5 stepvalue: 2 stepvalue: 7 '
SOLVERS = {
    "sgd": STEP % 0.05 + "momentum: 0.9 weight_decay: 0.0005",
    "sgd_iter_size": STEP % 0.05 + "momentum: 0.9 iter_size: 4 weight_decay: 0.02",
    "sgd_clipped_l1": STEP % 0.05 + "momentum: 0.9 " + MORE % "L1",
    "sgd_exp": 'base_lr: 0.05 lr_policy: "exp" gamma: 0.8 momentum: 0.9',
    "sgd_sigmoid": 'base_lr: 0.05 lr_policy: "sigmoid" gamma: 0.7 stepsize: 5 momentum: 0.9',
    "sgd_inv": 'base_lr: 0.05 lr_policy: "inv" gamma: 0.1 power: 0.75',
    "sgd_poly": 'base_lr: 0.05 lr_policy: "poly" power: 0.9 momentum: 0.5',
    "nesterov": STEP % 0.05 + 'type: "Nesterov" momentum: 0.9 weight_decay: 0.0005',
    "nesterov_more": STEP % 0.05 + 'type: "Nesterov" momentum: 0.9 ' + MORE % "L2",
    "adagrad": STEP % 0.02 + 'type: "AdaGrad" delta: 1e-5 weight_decay: 0.0005',
    "adagrad_more": STEP % 0.02 + 'type: "AdaGrad" ' + MORE % "L1",
    "rmsprop": STEP % 0.005 + 'type: "RMSProp" rms_decay: 0.9 delta: 1e-5 weight_decay: 0.0005',
    "rmsprop_more": STEP % 0.005 + 'type: "RMSProp" ' + MORE % "L2",
    "adadelta": STEP % 1 + 'type: "AdaDelta" momentum: 0.95 delta: 1e-6 weight_decay: 0.0005',
    "adadelta_more": STEP % 0.7 + 'type: "AdaDelta" momentum: 0.9 delta: 1e-4 ' + MORE % "L1",
    "adam": STEP % 0.005 + 'type: "Adam" momentum: 0.9 momentum2: 0.999 weight_decay: 0.0005',
    "adam_more": STEP % 0.005 + 'type: "Adam" momentum: 0.8 momentum2: 0.95 delta: 1e-4 ' + MORE % "L2",
}  # fmt: skip
# one of each kind, whose files of iteration 5 are kept
SNAPSHOTS = ("sgd", "nesterov", "adagrad", "rmsprop", "adadelta", "adam")


def solver(name, net="net.prototxt", more=""):
    """The solver prototxt's text."""
    common = (
        'net: "%s" max_iter: 10 snapshot_after_train: false solver_mode: CPU random_seed: 1 snapshot_prefix: "%s"\n'
    )
    return common % (net, name) + SOLVERS[name] + " " + more + "\n"


def rows():
    """Data and labels, ROWS samples."""
    random = np.random.RandomState(5)
    data = random.standard_normal((ROWS, 3, 9, 9)).astype(np.float32)
    label = random.randint(0, 4, (ROWS, 1, 9, 9)).astype(np.float32)
    label[random.uniform(size=label.shape) < 0.1] = 255
    return data, label


def weights(shapes):
    """Start values of the parameters, in the net's order."""
    random = np.random.RandomState(6)
    return [(random.standard_normal(shape) * 0.2).astype(np.float32) for shape in shapes]
