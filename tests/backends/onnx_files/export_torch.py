"""How the files of torch came about: `python export_torch.py`, with torch 2.13.0 and onnxscript 0.7 installed.

Five losses by `torch.onnx.export(dynamo=True)` with axes of any size, and a training graph: `make_fx` traces the loss
with its backward first, since the exporter cannot trace a call of autograd itself; the two halves of nll_loss are
decomposed there, or the exported mean's gradient is as many times too large as there are rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.export import Dim
from torch.fx.experimental.proxy_tensor import make_fx

HERE = Path(__file__).parent
ROWS, CLASSES = 7, 11
LOGITS = torch.zeros(ROWS, CLASSES)
LABELS = torch.zeros(ROWS, dtype=torch.int64)


class CrossEntropy(torch.nn.Module):
    def forward(self, logits, targets):
        return F.cross_entropy(logits, targets, ignore_index=2)


class Smoothed(torch.nn.Module):
    def forward(self, logits, targets):
        return F.cross_entropy(logits, targets, label_smoothing=0.1, reduction="sum")


class Focal(torch.nn.Module):
    def forward(self, logits, targets):
        log_p = F.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]
        return (-((1 - log_p.exp()) ** 2) * log_p).mean()


class LogSumExp(torch.nn.Module):
    def forward(self, logits):
        return torch.logsumexp(logits, -1)


class Unfused(torch.nn.Module):
    def forward(self, logits, targets):
        return -torch.log(torch.softmax(logits, -1)).gather(1, targets[:, None]).mean()


def training(logits, targets):
    logits = logits.detach().requires_grad_()
    loss = F.cross_entropy(logits, targets, label_smoothing=0.1)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.detach(), gradient


class Traced(torch.nn.Module):
    def __init__(self):
        super().__init__()
        table = torch._decomp.get_decompositions([torch.ops.aten.nll_loss_forward, torch.ops.aten.nll_loss_backward])
        self.graph = make_fx(training, decomposition_table=table, tracing_mode="fake")(LOGITS, LABELS)

    def forward(self, logits, targets):
        return self.graph(logits, targets)


def export(name, module, outputs=("loss",), axes=True):
    arguments = (LOGITS,) if name == "torch_logsumexp" else (LOGITS, LABELS)
    names = ["logits", "targets"][: len(arguments)]
    shapes = tuple({0: Dim("rows")} | ({1: Dim("classes")} if each is LOGITS else {}) for each in arguments)
    program = torch.onnx.export(
        module.eval(),
        arguments,
        input_names=names,
        output_names=list(outputs),
        dynamic_shapes=shapes if axes else None,
        dynamo=True,
        verbose=False,
    )
    for node in program.model.graph:  # paths and stack traces of the machine that exported
        node.metadata_props.clear()
        node.doc_string = None
    for each in (*program.model.graph.inputs, *program.model.graph.outputs):
        each.metadata_props.clear()
    program.save(str(HERE / (name + ".onnx")), external_data=False)


if __name__ == "__main__":
    export("torch_cross_entropy", CrossEntropy())
    export("torch_smoothed", Smoothed())
    export("torch_focal", Focal())
    export("torch_logsumexp", LogSumExp())
    export("torch_unfused", Unfused())
    export("torch_training", Traced(), ("loss", "logits_gradient"), axes=False)
    sys.stdout.writelines(f"{path.name} {path.stat().st_size}\n" for path in sorted(HERE.glob("torch*.onnx")))
