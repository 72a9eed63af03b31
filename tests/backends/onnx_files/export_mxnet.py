"""How the files of MXNet came about: `python export_mxnet.py`, with mxnet 1.9.1, numpy 1.23.5 and onnx 1.16.2.

What mx2onnx has converters for: softmax with a temperature, log_softmax, and a cross entropy composed of
log_softmax and one_hot, the mean taken by hand. No backward is exported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mxnet as mx

HERE = Path(__file__).parent
ROWS, CLASSES = 7, 11


def export(name, symbol, shapes, types):
    path = str(HERE / (name + ".onnx"))
    mx.onnx.export_model(symbol, {}, shapes, types, path)
    sys.stdout.write(f"{path} {Path(path).stat().st_size}\n")


if __name__ == "__main__":
    logits, targets = mx.sym.Variable("logits"), mx.sym.Variable("targets")
    shape = (ROWS, CLASSES)
    export("mxnet_softmax", mx.sym.softmax(logits, axis=-1, temperature=2.0), [shape], "float32")
    export("mxnet_log_softmax", mx.sym.log_softmax(logits, axis=-1), [shape], "float32")
    rows = mx.sym.sum(mx.sym.log_softmax(logits, axis=-1) * mx.sym.one_hot(targets, depth=CLASSES), axis=1)
    loss = -mx.sym.mean(rows)
    export("mxnet_cross_entropy", loss, [shape, (ROWS,)], ["float32", "int64"])
