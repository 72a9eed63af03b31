"""Forward and backward of a function `function(logits[, targets])`, in the words of each framework."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from gradaudit.errors import ReplayError
from gradaudit.records.inputs import Inputs
from gradaudit.replay.script.page import Call
from gradaudit.workers.responses import expected_shapes

OPENING = "    gradients = []\n    for head in heads():\n"


def call(framework: str, inputs: Inputs, function: Call, autocast: str | None = None, *, tiled: bool = False) -> Call:
    """What computes the output and gradient (or Jacobian) of `function`; ReplayError where no frame is known.

    Where the inputs are `tiled` their gradient is the Jacobian of the first of the tiles.
    """
    if framework not in FRAMES:
        known = ", ".join(FRAMES)
        raise ReplayError(f"there is no script for {framework}; there are scripts for {known} and onnxruntime")
    template = FRAMES[framework]
    name = "jacobian" if inputs.per_output or tiled else "gradient"
    source = template.format(
        dtype=inputs.dtype,
        targets=_targets(framework, inputs),
        arguments="logits" if inputs.targets is None else "logits, targets",
        run=_run(framework, autocast),
        laid_out=_laid_out(framework, inputs),
        name=name,
        first="[0]" if tiled else "",
        derivative="np.stack(gradients)" if inputs.per_output else "gradients[0]",
    )
    return Call(
        tuple(dict.fromkeys(("numpy", framework, *function.needs))),
        (*IMPORTS[framework], "import random", "import numpy as np", *function.imports),
        "\n\n\n".join(part.strip("\n") for part in (_heads(inputs), function.source, source)),
        prepares=function.prepares,
    )


def tiled(inputs: Inputs) -> Inputs:
    """The logits once for every class along a new first axis, and one-hot upstream gradients: as backends are asked
    for the Jacobian, whose kernels may add up other shapes in another order."""
    shape = inputs.logits.shape
    classes = prod(shape[axis] for axis in inputs.axis)
    row = tuple(size if axis in inputs.axis else 1 for axis, size in enumerate(shape))
    whole = (classes, *shape)
    eye = np.eye(classes, dtype=np.float32).astype(inputs.logits.dtype).reshape(classes, *row)
    return replace(
        inputs,
        logits=np.array(np.broadcast_to(inputs.logits, whole)),
        upstream=np.array(np.broadcast_to(eye, whole)),
        axis=tuple(axis + 1 for axis in inputs.axis),
        per_output=False,
    )


def _heads(inputs: Inputs) -> str:
    """The upstream gradients: the one that was given, or one for each output of a row."""
    if not inputs.per_output:
        return "def heads():\n    return [UPSTREAM]"
    output, _, derivative = expected_shapes(inputs)
    if output != inputs.logits.shape or derivative[0] == 1:
        return f'def heads():\n    return [np.ones({output}, "float32")]'
    shape = inputs.logits.shape
    row = tuple(size if axis in inputs.axis else 1 for axis, size in enumerate(shape))
    classes = prod(shape[axis] for axis in inputs.axis)
    return (
        f'def heads():\n    rows = np.eye({classes}, dtype="float32")\n'
        f"    return [np.broadcast_to(row.reshape({row}), {shape}).copy() for row in rows]"
    )


def _targets(framework: str, inputs: Inputs) -> str:
    if inputs.targets is None:
        return "None"
    return (LABELS if inputs.targets.dtype.kind == "i" else PROBABILITIES)[framework]


def _run(framework: str, autocast: str | None) -> str:
    if framework == "torch" and autocast:
        return f'with torch.autocast("cpu", dtype=torch.{autocast}):\n            '
    return ""


def _laid_out(framework: str, inputs: Inputs) -> str:
    """How the logits lie in memory, where that is not as usual."""
    if inputs.layout == "contiguous" or framework not in ("torch", "numpy"):
        return {"torch": "leaf.clone()", "numpy": "np.array(LOGITS, DTYPE)"}.get(framework, "")
    dims = inputs.logits.ndim
    if inputs.layout == "strided" or dims == 1:
        if framework == "torch":
            return 'torch.stack([leaf, torch.full_like(leaf, float("nan"))], dim=-1)[..., 0]'
        return 'np.stack([LOGITS, np.full_like(LOGITS, float("nan"))], axis=-1).astype(DTYPE)[..., 0]'
    order = [*inputs.axis, *(axis for axis in range(dims) if axis not in inputs.axis)]
    order = order[::-1] if order == list(range(dims)) else order
    back = [order.index(axis) for axis in range(dims)]
    if framework == "torch":
        return f"leaf.permute({order}).contiguous().permute({back})"
    return f"np.array(np.transpose(LOGITS, {order}), DTYPE).transpose({back})"


IMPORTS = {
    "torch": ("import torch",),
    "jax": ("import jax", "import jax.numpy as jnp"),
    "tensorflow": ("import tensorflow as tf",),
    "numpy": (),
}

LABELS = {
    "torch": "torch.from_numpy(TARGETS.copy())",
    "jax": "jnp.asarray(TARGETS)",
    "tensorflow": "tf.constant(TARGETS)",
    "numpy": "TARGETS.copy()",
}
PROBABILITIES = {
    "torch": "torch.from_numpy(TARGETS.copy()).to(dtype)",
    "jax": "jnp.asarray(TARGETS).astype(dtype)",
    "tensorflow": "tf.cast(TARGETS, dtype)",
    "numpy": "np.array(TARGETS, DTYPE)",
}

SEEDED = "        random.seed(0)\n        np.random.seed(0)\n"

FRAMES = {
    "torch": "def compute():\n    torch.set_num_threads(1)\n    dtype = torch.{dtype}\n"
    + OPENING
    + SEEDED
    + """        torch.manual_seed(0)
        leaf = torch.from_numpy(LOGITS.copy()).to(dtype).requires_grad_()
        logits, targets = {laid_out}, {targets}
        {run}output = function({arguments})
        upstream = torch.from_numpy(head.copy()).to(output.dtype)
        upstream = upstream if upstream.shape == output.shape else torch.ones_like(output)
        gradients.append(torch.autograd.grad(output, leaf, upstream)[0].double().numpy())
    return {{"loss": output.detach().double().numpy(){first}, "{name}": {derivative}}}
""",
    "jax": """jax.config.update("jax_enable_x64", True)


def compute():
    dtype = jnp.{dtype}
"""
    + OPENING
    + SEEDED
    + """        logits, targets = jnp.asarray(LOGITS).astype(dtype), {targets}
        output, backward = jax.vjp(lambda logits: function({arguments}), logits)
        upstream = jnp.asarray(head).astype(output.dtype)
        upstream = upstream if upstream.shape == output.shape else jnp.ones_like(output)
        gradients.append(np.asarray(backward(upstream)[0], "float64"))
    return {{"loss": np.asarray(output, "float64"){first}, "{name}": {derivative}}}
""",
    "tensorflow": "def compute():\n    dtype = tf.{dtype}\n"
    + OPENING
    + SEEDED
    + """        tf.random.set_seed(0)
        logits, targets = tf.cast(tf.constant(LOGITS), dtype), {targets}
        with tf.GradientTape() as tape:
            tape.watch(logits)
            output = function({arguments})
        upstream = tf.cast(head, output.dtype)
        upstream = upstream if upstream.shape == output.shape else tf.ones_like(output)
        gradient = tf.convert_to_tensor(tape.gradient(output, logits, output_gradients=upstream))
        gradients.append(tf.cast(gradient, tf.float64).numpy())
    return {{"loss": tf.cast(output, tf.float64).numpy(){first}, "{name}": {derivative}}}
""",
    "numpy": 'DTYPE = np.dtype("{dtype}")\n\n\ndef compute():\n'
    + OPENING
    + SEEDED
    + """        logits, targets = {laid_out}, {targets}
        output, gradient = function({arguments}, np.array(head, DTYPE))
        gradients.append(np.array(gradient, "float64"))
    return {{"loss": np.array(output, "float64"), "{name}": {derivative}}}
""",
}
"""Every call begins with the random generators seeded; functions see logits that are no leaf, as in training."""
