"""One script against pycaffe's interface; `run(caffe, folder)` gives what it saw, by BVLC's pycaffe or by ours."""

# ruff: noqa: UP031, E501  (Python 3.8, the braces of the texts, and prototxt lines)
import os

import numpy as np

GRAPH = """name: "graph" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 dim: 1 dim: 6 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "a" type: "Convolution" bottom: "conv" top: "a" param { lr_mult: 0 } param { lr_mult: 2 }
  convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "b" type: "Convolution" bottom: "conv" top: "b" convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "sum" bottom: "label" top: "loss" loss_weight: 2 }
"""
DEPLOY = """%s input: "data" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" } layer { name: "s" type: "Softmax" bottom: "c" top: "prob" }
"""
TRAINED = """layer { name: "data" type: "Python" top: "data" top: "label"
  python_param { module: "golden_python_layers" layer: "Noise" param_str: "%d" } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "twice" type: "Python" bottom: "pool" top: "twice"
  python_param { module: "golden_python_layers" layer: "Twice" } }
layer { name: "up" type: "Deconvolution" bottom: "twice" top: "up" param { lr_mult: 0 }
  convolution_param { num_output: 3 kernel_size: 4 stride: 2 bias_term: false } }
layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score" crop_param { axis: 2 offset: 0 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" loss_param { normalize: false } }
"""
SOLVER = """train_net: "train.prototxt" test_net: "val.prototxt" test_iter: 1 test_interval: 1000 test_initialization: false
base_lr: 0.001 lr_policy: "fixed" %s weight_decay: 0.0005 iter_size: 2 max_iter: 9 snapshot_prefix: "s" random_seed: 1
"""
LAYERS = '''"""Layers of the test script."""
import caffe
import numpy as np


class Noise(caffe.Layer):
    def setup(self, bottom, top):
        self.number = int(self.param_str)

    def reshape(self, bottom, top):
        random = np.random.RandomState(self.number)
        h, w = 8 + self.number % 3, 9 + self.number % 2
        self.x, self.y = random.randn(1, 3, h, w), random.randint(0, 3, (1, 1, h, w))
        top[0].reshape(*self.x.shape)
        top[1].reshape(*self.y.shape)

    def forward(self, bottom, top):
        top[0].data[...], top[1].data[...] = self.x, self.y
        self.number += 1

    def backward(self, top, propagate_down, bottom):
        pass


class Twice(caffe.Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = 2 * top[0].diff
'''


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)
    return os.path.join(folder, name)


def fill(net, random):
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = random.randn(*blob.data.shape) * 0.1


def note(seen, key, net):
    for name, blob in net.blobs.items():
        seen["%s/data/%s" % (key, name)], seen["%s/diff/%s" % (key, name)] = blob.data.copy(), blob.diff.copy()
    for name, blobs in net.params.items():
        for at, blob in enumerate(blobs):
            seen["%s/pdiff/%s/%d" % (key, name, at)] = blob.diff.copy()


def graph(caffe, folder, seen):
    """Splits, names, diffs that are overwritten and those that add up, lr_mult 0, reshape, start and end."""
    random = np.random.RandomState(0)
    net = caffe.Net(write(folder, "graph.prototxt", GRAPH), caffe.TRAIN)
    fill(net, random)
    seen["graph/names"] = np.array([*net._layer_names, "", *net._blob_names, "", *net.inputs, "", *net.outputs])
    tops, bottoms = ([",".join(names) for names in found.values()] for found in (net.top_names, net.bottom_names))
    seen["graph/ends"] = np.array(tops + bottoms)
    seen["graph/loss_weights"] = np.array(list(net._blob_loss_weights), np.float32)
    held = net.blobs["data"].data
    held[...] = random.randn(2, 3, 6, 6)
    net.blobs["label"].data[...] = random.randint(0, 3, (2, 1, 6, 6))
    net.forward()
    net.backward()
    note(seen, "once", net)
    held[0] *= 2
    net.forward()
    net.backward()
    note(seen, "twice", net)
    net.clear_param_diffs()
    net.blobs["sum"].diff[...] = 1
    back = net.backward(start="sum", end="relu")
    note(seen, "part", net)
    seen["part/returned"] = np.array(sorted(back))
    net.blobs["conv"].data[...] = 1
    seen["part/forward"] = net.forward(start="a", end="sum")["sum"].copy()
    net.blobs["data"].reshape(1, 3, 8, 7)
    net.blobs["label"].reshape(1, 1, 8, 7)
    net.reshape()
    seen["reshaped"] = np.array([" ".join(map(str, blob.shape)) for blob in net.blobs.values()])


def deploy(caffe, folder, seen):
    """What force_backward does, forward_all with a last batch that is not full."""
    for force in ("force_backward: true", ""):
        random = np.random.RandomState(5)
        net = caffe.Net(write(folder, "deploy.prototxt", DEPLOY % force), caffe.TEST)
        fill(net, random)
        net.forward(data=random.randn(2, 3, 4, 4))
        net.backward(prob=random.randn(2, 2, 2, 2))
        note(seen, "deploy" + force[:5], net)
        seen["all" + force[:5]] = net.forward_all(data=random.randn(5, 3, 4, 4))["prob"]


def training(caffe, folder, seen):
    """Python layers, data of changing size, surgery, steps, shared test nets."""
    write(folder, "golden_python_layers.py", LAYERS)
    write(folder, "train.prototxt", TRAINED % 1)
    write(folder, "val.prototxt", TRAINED % 50)
    for kind, rest in (("SGD", "momentum: 0.9"), ("Nesterov", "momentum: 0.9"), ("AdaGrad", "")):
        path = write(folder, "solver.prototxt", SOLVER % rest + 'type: "%s"' % kind)
        solver = getattr(caffe, kind + "Solver")(path)
        fill(solver.net, np.random.RandomState(3))
        solver.net.params["up"][0].data[...] = 0
        solver.net.params["up"][0].data[range(3), range(3), :, :] = 0.25
        for step in range(4):
            solver.step(1)
            seen["%s/loss/%d" % (kind, step)] = solver.net.blobs["loss"].data.copy()
            seen["%s/conv/%d" % (kind, step)] = solver.net.params["conv"][0].data.copy()
        solver.test_nets[0].share_with(solver.net)
        for _ in range(2):
            solver.test_nets[0].forward()
        seen["%s/test" % kind] = solver.test_nets[0].blobs["score"].data.copy()
        seen["%s/iter" % kind] = np.array(solver.iter)


def images(caffe, folder, seen):
    """Transformer there and back, oversample, resize (enlarging)."""
    random = np.random.RandomState(1)
    image = random.rand(11, 13, 3).astype(np.float32)
    transformer = caffe.io.Transformer({"data": (1, 3, 17, 19)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([1.0, 2, 3]))
    transformer.set_input_scale("data", 0.5)
    given = transformer.preprocess("data", image.copy())
    seen["preprocess"], seen["deprocess"] = given.copy(), transformer.deprocess("data", given[None])
    transformer.set_mean("data", random.rand(3, 8, 9))
    seen["preprocess/mean"] = transformer.preprocess("data", image.copy())
    seen["resize4"] = caffe.io.resize_image(random.rand(5, 6, 4), (8, 9))
    seen["resize1"] = caffe.io.resize_image(random.rand(5, 6, 1), (8, 9))
    seen["oversample"] = caffe.io.oversample([image, image * 2], (4, 5))


def spec(caffe, folder, seen):
    """NetSpec and crop; as the bytes of the NetParameter, which do not depend on how numbers are printed."""
    from caffe import layers as L
    from caffe import params as P
    from caffe.coord_map import crop

    n = caffe.NetSpec()
    n.data, n.label = L.Python(module="voc_layers", layer="X", ntop=2, param_str=str({"a": 1}))
    rates = [dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)]  # noqa: C408
    n.conv = L.Convolution(n.data, kernel_size=3, num_output=8, pad=10, param=rates, weight_filler=dict(std=0.01))  # noqa: C408
    n.relu = L.ReLU(n.conv, in_place=True)
    n.pool = L.Pooling(n.relu, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    n.up = L.Deconvolution(
        L.Dropout(n.pool, dropout_ratio=0.5, in_place=True),
        convolution_param=dict(num_output=3, kernel_size=4, stride=2, bias_term=False),  # noqa: C408
        param=[dict(lr_mult=0)],  # noqa: C408
    )
    n.score = crop(n.up, n.data)
    n.twice = L.Eltwise(n.score, n.score, operation=P.Eltwise.SUM, coeff=[1, 0.3])
    n.loss = L.SoftmaxWithLoss(n.twice, n.label, loss_param=dict(normalize=False), loss_weight=2, include=dict(phase=0))  # noqa: C408
    for key, net in (("named", n.to_proto()), ("made_up", caffe.to_proto(n.score))):
        seen["spec/" + key] = np.frombuffer(net.SerializeToString(), np.uint8)
    blob = caffe.io.array_to_blobproto(np.arange(6.0).reshape(1, 2, 3))
    seen["spec/blob"] = np.frombuffer(blob.SerializeToString(), np.uint8)


def run(caffe, folder):
    """name -> array of everything the parts above note."""
    seen = {}
    before = os.getcwd()
    os.chdir(folder)
    try:
        for part in (graph, deploy, training, images, spec):
            part(caffe, folder, seen)
    finally:
        os.chdir(before)
    return seen
