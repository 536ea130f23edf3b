"""The one-layer nets that make_bvlc_cases.py has BVLC Caffe 1.0 run."""

# ruff: noqa: UP031  (Python 3.8, and the braces of the texts)

X4 = {"data": (2, 3, 5, 6)}
FILLER = 'type: "gaussian" std: 1'


def layer(kind, options="", bottoms=("data",), tops=("top",), extra=""):
    names = " ".join(['bottom: "%s"' % b for b in bottoms] + ['top: "%s"' % t for t in tops])
    return 'layer { name: "layer" type: "%s" %s %s %s }\n' % (kind, names, extra, options)


# makes a gradient flow into "data" alone, and is where it can be seen
LEARNT = 'layer { name: "pre" type: "Bias" bottom: "raw" top: "data" bias_param { axis: 0 num_axes: -1 } }\n'


def conv(options):
    return layer("Convolution", "convolution_param { %s }" % options)


# name: (inputs, layers, phase, kinds of inputs that are not normal numbers, gradients wanted: True or "learnt")
CASES = {}


def case(name, text, inputs=None, phase="TEST", kinds=None, backward=True):
    CASES[name] = (inputs or X4, text, phase, kinds or {}, backward)


def elementwise():
    case("absval", layer("AbsVal"))
    case("bnll", layer("BNLL"))
    case("elu", layer("ELU", "elu_param { alpha: 0.7 }"))
    case("exp", layer("Exp"))
    case("exp_base", layer("Exp", "exp_param { base: 2.5 scale: 0.6 shift: -0.3 }"))
    case("log", layer("Log", "log_param { scale: 0.5 shift: 2 }"), kinds={"data": "positive"})
    case("log_base", layer("Log", "log_param { base: 10 scale: 1.5 shift: 0.25 }"), kinds={"data": "positive"})
    case("power", layer("Power", "power_param { power: 3 scale: 0.5 shift: 0.2 }"))
    case("prelu", layer("PReLU"))
    case("prelu_shared", layer("PReLU", "prelu_param { channel_shared: true filler { value: 0.1 } }"))
    case("swish", layer("Swish", "swish_param { beta: 1.7 }"))
    case("threshold", layer("Threshold", "threshold_param { threshold: 0.3 }"), backward=False)
    case("relu_leaky", layer("ReLU", "relu_param { negative_slope: 0.1 }"))
    case("sigmoid", layer("Sigmoid"))
    case("tanh", layer("TanH"))


def normalisation():
    # no BatchNorm in training by the batch's own statistics: this package's build gives x / sqrt(eps) there and leaves
    # the running sums alone, which is not what BVLC's source says
    case("batchnorm_test", layer("BatchNorm"), kinds={"blobs": "batchnorm"})
    case("batchnorm_test_eps", layer("BatchNorm", "batch_norm_param { eps: 0.01 }"), kinds={"blobs": "batchnorm"})
    case(
        "batchnorm_train_global",
        layer("BatchNorm", "batch_norm_param { use_global_stats: true }"),
        phase="TRAIN",
        kinds={"blobs": "batchnorm"},
    )
    case("batchnorm_zero_factor", layer("BatchNorm"), kinds={"blobs": "batchnorm_zero"})
    for name, options in (
        ("mvn", ""),
        ("mvn_across", "mvn_param { across_channels: true }"),
        ("mvn_mean_only", "mvn_param { normalize_variance: false }"),
    ):
        case(name, layer("MVN", options))
    case("lrn_across", layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"))
    case(
        "lrn_within",
        layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 norm_region: WITHIN_CHANNEL }"),
    )
    scale = "scale_param { %s filler { " + FILLER + " } }"
    case("scale", layer("Scale", scale % ""))
    case("scale_bias", layer("Scale", scale % ("bias_term: true bias_filler { %s }" % FILLER)))
    case("scale_axis_0_2", layer("Scale", scale % "axis: 0 num_axes: 2"))
    case("scale_axis_m2_all", layer("Scale", scale % "axis: -2 num_axes: -1"))
    case("scale_scalar", layer("Scale", scale % "num_axes: 0 bias_term: true"))
    two = {"data": (2, 3, 5, 6), "small": (3, 5)}
    case("scale_bottom", layer("Scale", "scale_param { axis: 1 }", ("data", "small")), two)
    case("scale_bottom_bias", layer("Scale", "scale_param { bias_term: true }", ("data", "small")), two)
    case("bias", layer("Bias", "bias_param { filler { %s } }" % FILLER))
    case("bias_bottom", layer("Bias", "bias_param { axis: 1 }", ("data", "small")), two)


def shapes():
    case("reshape_copy_infer", layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }"))
    case("reshape_axis", layer("Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 5 dim: 3 } }"))
    case("reshape_insert", layer("Reshape", "reshape_param { axis: -1 num_axes: 0 shape { dim: 1 dim: 1 } }"))
    case("permute", layer("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"))
    case("permute_short", layer("Permute", "permute_param { order: 2 }"))
    case("tile", layer("Tile", "tile_param { axis: 2 tiles: 3 }"))
    for operation in ("SUM", "ASUM", "SUMSQ", "MEAN"):
        options = "reduction_param { operation: %s axis: 1 coeff: 0.7 }" % operation
        case("reduction_" + operation.lower(), layer("Reduction", options))
    case("flatten", layer("Flatten", "flatten_param { axis: 1 end_axis: -2 }"))
    case("im2col", layer("Im2col", "convolution_param { kernel_size: 3 pad: 1 stride: 2 dilation: 2 }"))
    case(
        "concat", layer("Concat", "concat_param { axis: 2 }", ("data", "b")), {"data": (2, 3, 5, 2), "b": (2, 3, 1, 2)}
    )
    case("slice", layer("Slice", "slice_param { axis: 2 slice_point: 1 slice_point: 3 }", tops=("t1", "t2", "t3")))
    case(
        "crop",
        layer("Crop", "crop_param { axis: 2 offset: 1 offset: 2 }", ("data", "like")),
        {"data": (2, 3, 6, 7), "like": (1, 1, 4, 3)},
    )
    case("argmax_axis", layer("ArgMax", "argmax_param { axis: 1 top_k: 2 }"), backward=False)
    case("argmax_values", layer("ArgMax", "argmax_param { out_max_val: true top_k: 2 }"), backward=False)


def windows():
    weights = "weight_filler { %s } bias_filler { %s }" % (FILLER, FILLER)
    case("conv_dilation", conv("num_output: 4 kernel_size: 3 pad: 2 dilation: 2 " + weights))
    case(
        "conv_rect", conv("num_output: 4 kernel_h: 1 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0 " + weights)
    )
    case("conv_group", conv("num_output: 6 group: 3 kernel_size: 3 " + weights))
    case("conv_3d", conv("num_output: 2 kernel_size: 3 pad: 1 stride: 2 " + weights), {"data": (1, 2, 4, 5, 6)})
    case("conv_1d", conv("num_output: 2 kernel_size: 3 dilation: 2 " + weights), {"data": (2, 3, 9)})
    deconv = "convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 %s }" % weights
    case("deconv", layer("Deconvolution", deconv))
    deconv = "convolution_param { num_output: 6 group: 3 kernel_size: 3 dilation: 2 bias_term: false %s }" % weights
    case("deconv_dilation_group", layer("Deconvolution", deconv))
    deconv = "convolution_param { num_output: 2 kernel_size: 2 stride: 2 %s }" % weights
    case("deconv_3d", layer("Deconvolution", deconv), {"data": (1, 2, 2, 3, 2)})
    for pool in ("MAX", "AVE"):
        options = "pooling_param { pool: %s kernel_size: 3 stride: 2 %s }"
        case("pool_" + pool.lower(), layer("Pooling", options % (pool, "")))
        case("pool_pad_" + pool.lower(), layer("Pooling", options % (pool, "pad: 1")))
        case("pool_floor_" + pool.lower(), layer("Pooling", options % (pool, "round_mode: FLOOR")))
        case("pool_global_" + pool.lower(), layer("Pooling", "pooling_param { pool: %s global_pooling: true }" % pool))
    case(
        "pool_mask",
        layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", tops=("top", "mask")),
        backward=False,
    )
    for name, height in (("spp_1", 1), ("spp_3", 3)):
        case(name, layer("SPP", "spp_param { pyramid_height: %d }" % height), {"data": (2, 3, 7, 9)})
    case("spp_ave", layer("SPP", "spp_param { pyramid_height: 2 pool: AVE }"), {"data": (2, 3, 7, 9)})
    for name, extra in (
        ("inner_product", ""),
        ("inner_product_transpose", "transpose: true"),
        ("inner_axis", "axis: 2"),
    ):
        case(name, layer("InnerProduct", "inner_product_param { num_output: 4 %s %s }" % (extra, weights)))


def rows():
    options = "embed_param { num_output: 4 input_dim: 5 weight_filler { %s } bias_filler { %s } }" % (FILLER, FILLER)
    case(
        "embed", layer("Embed", options, extra="loss_weight: 1"), {"data": (2, 3)}, kinds={"data": 5}, backward="learnt"
    )
    case(
        "filter",
        LEARNT + layer("Filter", "", ("data", "other", "selector"), ("t1", "t2"), "loss_weight: 1 loss_weight: 0"),
        {"raw": (4, 3, 2, 2), "other": (4, 2), "selector": (4, 1)},
        kinds={"selector": 2},
        backward="learnt",
    )
    case(
        "batch_reindex",
        LEARNT + layer("BatchReindex", "", ("data", "order"), extra="loss_weight: 1"),
        {"raw": (4, 3, 2), "order": (6,)},
        kinds={"order": 4},
        backward="learnt",
    )
    case(
        "dummy_data", layer("DummyData", "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 2.5 } }", ())
    )
    CASES["dummy_data"] = ({}, CASES["dummy_data"][1], "TEST", {}, False)
    for operation in ("PROD", "SUM", "MAX"):
        extra = "coeff: 0.5 coeff: -2 coeff: 1" if operation == "SUM" else ""
        options = "eltwise_param { operation: %s %s }" % (operation, extra)
        case(
            "eltwise_" + operation.lower(),
            layer("Eltwise", options, ("data", "b", "c")),
            {"data": (2, 3, 4), "b": (2, 3, 4), "c": (2, 3, 4)},
        )


def recurrent():
    weights = "weight_filler { %s } bias_filler { %s }" % (FILLER, FILLER)
    sequence = {"data": (4, 2, 3), "cont": (4, 2)}
    for kind in ("RNN", "LSTM"):
        options = "recurrent_param { num_output: 5 %s %s }"
        name = kind.lower()
        case(name, layer(kind, options % (weights, ""), ("data", "cont")), sequence, kinds={"cont": "begins"})
        text = layer(kind, options % (weights, ""), ("data", "cont", "fixed"))
        case(name + "_static", text, dict(sequence, fixed=(2, 6)), kinds={"cont": "begins"})
        states = ("h0", "c0")[: 1 if kind == "RNN" else 2]
        ends = ("h1", "c1")[: len(states)]
        text = layer(kind, options % (weights, "expose_hidden: true"), ("data", "cont", *states), ("top", *ends))
        case(
            name + "_exposed",
            text,
            dict(sequence, **dict.fromkeys(states, (1, 2, 5))),
            kinds={"cont": "goes_on"},
            backward=False,
        )
    case("reverse", layer("Reverse", "reverse_param { axis: 1 }"))
    case(
        "crop_axis",
        layer("Crop", "crop_param { axis: 1 offset: 1 }", ("data", "like")),
        {"data": (2, 4, 6, 7), "like": (1, 2, 4, 3)},
    )
    case(
        "crop_last",
        layer("Crop", "crop_param { axis: -1 offset: 2 }", ("data", "like")),
        {"data": (2, 3, 7), "like": (2, 3, 4)},
    )
    case("pool_ceil_pad", layer("Pooling", "pooling_param { kernel_size: 2 stride: 3 pad: 1 round_mode: CEIL }"))
    case(
        "concat_dim",
        layer("Concat", "concat_param { concat_dim: 1 }", ("data", "b")),
        {"data": (2, 3, 2), "b": (2, 1, 2)},
    )
    case(
        "eltwise_prod_two",
        layer("Eltwise", "eltwise_param { operation: PROD stable_prod_grad: false }", ("data", "b")),
        {"data": (2, 3, 4), "b": (2, 3, 4)},
    )
    case(
        "accuracy_axis",
        layer("Accuracy", "accuracy_param { axis: 2 }", ("data", "label")),
        {"data": (2, 3, 5), "label": (2, 3)},
        kinds={"label": 5},
        backward=False,
    )
    case(
        "parameter",
        'layer { name: "layer" type: "Parameter" top: "top" parameter_param { shape { dim: 2 dim: 3 } } }\n',
        {},
    )
    options = "continuation_indicator_param { time_step: 3 batch_size: 2 }"
    case("continuation", layer("ContinuationIndicator", options, ()))
    CASES["continuation"] = ({}, CASES["continuation"][1], "TEST", {}, False)
    CASES["parameter"] = ({}, CASES["parameter"][1], "TEST", {}, False)


def losses():
    flat, labels = {"data": (4, 5), "label": (4,)}, {"label": 5}
    maps = {"data": (2, 5, 3, 4), "label": (2, 1, 3, 4)}
    pair = {"data": (4, 5), "target": (4, 5)}

    def loss(kind, options="", second="label", tops=("top",), extra=""):
        return layer(kind, options, ("data", second), tops, extra)

    case("euclidean", loss("EuclideanLoss", second="target"), pair)
    case("euclidean_weight", loss("EuclideanLoss", second="target", extra="loss_weight: 0.3"), pair)
    case("hinge_l1", loss("HingeLoss"), flat, kinds=labels)
    case("hinge_l2", loss("HingeLoss", "hinge_loss_param { norm: L2 }"), flat, kinds=labels)
    case("multinomial", loss("MultinomialLogisticLoss"), flat, kinds={"label": 5, "data": "probability"})
    infogain = LEARNT + layer("InfogainLoss", "", ("data", "label", "h"))
    case(
        "infogain",
        infogain,
        {"raw": (4, 5), "label": (4,), "h": (1, 1, 5, 5)},
        kinds={"label": 5, "h": "positive"},
        backward="learnt",
    )
    infogain = LEARNT + layer("InfogainLoss", "loss_param { ignore_label: 2 }", ("data", "label", "h"))
    case(
        "infogain_maps",
        infogain,
        {"raw": (2, 5, 3, 4), "label": (2, 1, 3, 4), "h": (1, 1, 5, 5)},
        kinds={"label": 5, "h": "positive"},
        backward="learnt",
    )
    for name, options in (("contrastive", ""), ("contrastive_legacy", "legacy_version: true")):
        text = layer("ContrastiveLoss", "contrastive_loss_param { margin: 3 %s }" % options, ("data", "target", "same"))
        case(name, text, {"data": (6, 5, 1, 1), "target": (6, 5, 1, 1), "same": (6, 1, 1, 1)}, kinds={"same": 2})
    for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE"):
        options = "loss_param { ignore_label: 3 normalization: %s }" % mode
        case("softmax_loss_" + mode.lower(), loss("SoftmaxWithLoss", options), maps, kinds=labels)
        options = "loss_param { ignore_label: 1 normalization: %s }" % mode
        case(
            "sigmoid_loss_" + mode.lower(),
            loss("SigmoidCrossEntropyLoss", options, "target"),
            {"data": (3, 4, 2), "target": (3, 4, 2)},
            kinds={"target": 2},
        )
    case("softmax_loss_default", loss("SoftmaxWithLoss"), maps, kinds=labels)
    options = "softmax_param { axis: 2 } loss_param { normalize: false }"
    case("softmax_loss_axis", loss("SoftmaxWithLoss", options), {"data": (2, 3, 5), "label": (2, 3)}, kinds=labels)
    options = "loss_param { ignore_label: 3 }"
    ignored = "all_3"
    case("softmax_loss_all_ignored", loss("SoftmaxWithLoss", options), maps, kinds={"label": ignored})
    case(
        "sigmoid_loss_default",
        loss("SigmoidCrossEntropyLoss", second="target"),
        pair,
        kinds={"target": "probability"},
    )
    case("softmax", layer("Softmax"))
    case("softmax_axis", layer("Softmax", "softmax_param { axis: -1 }"))
    case("accuracy", loss("Accuracy"), maps, kinds=labels, backward=False)
    case(
        "accuracy_top2",
        loss("Accuracy", "accuracy_param { top_k: 2 ignore_label: 1 }"),
        maps,
        kinds=labels,
        backward=False,
    )
    case("accuracy_classes", loss("Accuracy", tops=("top", "each")), maps, kinds={"label": 4}, backward=False)
    case("accuracy_ties", loss("Accuracy"), maps, kinds={"label": 5, "data": 2}, backward=False)
    options = "accuracy_param { ignore_label: 3 }"
    case("accuracy_all_ignored", loss("Accuracy", options), maps, kinds={"label": ignored}, backward=False)
