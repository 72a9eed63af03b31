"""MXNet's operators as MXNet documents them, each registered as `mxnet.NAME`.

`semantics: mxnet` in a spec lets `function:` take them by their own names; the requests of a worker say `mxnet.NAME`.
Every backend that evaluates them (`Backend.semantics`) is asked in the same words:

    function                        parameters, as MXNet calls them (every one is in the request; None: not given)
    mxnet.softmax                   temperature (float or None), use_length (bool), length (list of int or None: the
                                    number of leading classes that take part, one a row, the rows in C order)
    mxnet.log_softmax               temperature
    mxnet.softmin                   temperature
    mxnet.SoftmaxOutput             grad_scale (float), ignore_label (int), multi_output, use_ignore, preserve_shape
                                    (bool), normalization ("null", "batch", "valid"), out_grad (bool), smooth_alpha
                                    (float)
    mxnet.softmax_cross_entropy     none
    mxnet.SoftmaxCrossEntropyLoss   gluon.loss: sparse_label (bool), from_logits (bool), weight (float or None),
                                    batch_axis (int)

A temperature of None and one of 1.0 are the same mathematics, but not the same kernel of MXNet. `axis` of the
request is always one axis, counted from 0; for SoftmaxOutput it is that which its options choose (1 with
multi_output, else the last one).

    arrays                          shapes
    "logits"                        the data; for SoftmaxCrossEntropyLoss with from_logits its log-probabilities
    "targets"                       int64 labels without the class axis, or probabilities of the logits' shape, dtype
    "upstream"                      the head gradient, of the output's shape; absent with `per_output`
    "output"                        the logits' shape for softmax, log_softmax, softmin and SoftmaxOutput; (1,) for
                                    softmax_cross_entropy; (N,) for SoftmaxCrossEntropyLoss, N that of batch_axis
    "gradient"                      the logits' shape; with `per_output` "jacobian", (K, *logits.shape): one plane
                                    for each class where the output has the logits' shape, else one (head of ones)

The formulation "fused" is the operator itself. The formulation "as_mxnet" of a backend that is not MXNet is the
operator with the faults of MXNet 1.9.1.
"""
