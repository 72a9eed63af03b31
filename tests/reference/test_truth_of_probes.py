"""Every probe has an exact result: enclosed tightly, in every dtype, for every function that probes are made for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradaudit.numerics import formats
from gradaudit.reference.truth import Truth
from gradaudit.specs import probes
from gradaudit.specs.loading import load_text

LABELS = "targets: {random: {seed: 1, ignored: 2}}\n"
MASSES = "targets: {random: {seed: 1, kind: probabilities}}\n"
SHAPE = "logits: {random: {shape: [9, 6]}}\n"
CASES = {
    "softmax": "function: softmax\n" + SHAPE,
    "softmax over two axes": "function: softmax\nlogits: {random: {shape: [2, 3, 5]}}\naxis: [1, 2]\n",
    "log_softmax": "function: {name: log_softmax, temperature: 2}\n" + SHAPE,
    "logsumexp of one row": "function: logsumexp\nlogits: [1, 2, 3]\n",
    "labels": "function: cross_entropy\n" + SHAPE + LABELS,
    "smoothing": "function: {name: cross_entropy, label_smoothing: 0.1, reduction: none}\n" + SHAPE + LABELS,
    "weights": "function: {name: cross_entropy, weight: [1, 0, 3, 2, 4, 5], masked_classes: [2]}\n" + SHAPE + LABELS,
    "masses": "function: {name: cross_entropy, reduction: sum, logit_scale: 14.3}\n" + SHAPE + MASSES,
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_truths_are_tight(name: str, dtype: str) -> None:
    (case,) = load_text("version: 1\n" + CASES[name], "spec.yaml")
    u, eta = formats.get(dtype).unit_roundoff, formats.get(dtype).smallest_subnormal
    for probe in probes.names(replace(case, dtypes=(dtype,))):
        inputs = probes.inputs(case, probe, dtype, 0)
        if inputs.expects_error:
            continue
        truth = Truth(inputs)
        truth.prepare()
        for block in truth.blocks():
            gradient = truth.gradient(block, None)
            # The error of a loss near 0 is absolute: it is a difference of numbers near 1. So is that of p - t where
            # one class has it all.
            for exact, floor in ((gradient, float(probe == "length-1")), (block.output, 1.0)):
                assert np.isfinite(exact.mid).all() or inputs.special, probe
                finite = np.abs(np.where(np.isfinite(exact.mid), exact.mid, 0.0))
                tight = 2.0**-4 * u * np.maximum(finite.max(axis=1, keepdims=True), floor) + eta
                assert (exact.rad <= tight).all(), probe
            assert np.any(gradient.mid != 0.0) or probe != "ordinary"
        if truth.reduced:
            assert np.isfinite(truth.reduced_output().mid).all() or inputs.special, probe
