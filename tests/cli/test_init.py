"""`gradaudit init`: what it makes of a loss without importing it, and what it leaves alone."""

from __future__ import annotations

import textwrap

import pytest
import yaml

from gradaudit.specs.loading import load
from gradaudit.specs.sketch import Sketch
from gradaudit.specs.starting import function_of

LOSSES = """
    import jax.numpy as jnp
    import numpy as np
    import tensorflow as tf
    import torch
    from torch import nn
    from torch.nn import functional as F

    raise SystemExit("this file must not be imported")


    class SmoothedCrossEntropy(nn.Module):
        def __init__(self, smoothing=0.1, ignore_index=-1, *, reduction="sum"):
            super().__init__()

        def forward(self, logits, targets):
            return F.cross_entropy(logits, targets)


    class FocalLoss(torch.nn.Module):
        def __init__(self, classes, gamma=1.5):
            super().__init__()

        def forward(self, logits, targets):
            return None


    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits, targets):
            return logits


    def my_log_softmax(x):
        return torch.log(x)


    def numpy_loss(logits, targets, upstream, smoothing=2.0):
        return np.exp(logits), logits


    def in_jax(logits, targets):
        return jnp.exp(logits)


    def in_tensorflow(logits, targets, name="a: b"):
        return tf.exp(logits)


    def kl_div(logits, q):
        return torch.exp(logits)


    class Outer:
        def loss(logits, targets):
            return torch.exp(logits)


    alias = nn.CrossEntropyLoss()
    if True:
        def conditional(logits, targets):
            return F.nll_loss(logits, targets)
"""


@pytest.fixture
def losses(tmp_path):
    (tmp_path / "losses.py").write_text(textwrap.dedent(LOSSES), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "framework", "function", "parameters"),
    [
        (
            "SmoothedCrossEntropy",
            "torch",
            "cross_entropy",
            {"label_smoothing": 0.1, "ignore_index": -1, "reduction": "sum"},
        ),
        ("FocalLoss", "torch", "focal", {"gamma": 1.5}),
        ("Swish", "torch", "cross_entropy", {}),
        ("my_log_softmax", "torch", "log_softmax", {}),
        ("numpy_loss", "numpy", "cross_entropy", {}),
        ("in_jax", "jax", "cross_entropy", {}),
        ("in_tensorflow", "tensorflow", "cross_entropy", {}),
        ("kl_div", "torch", "kl_divergence", {}),
        ("Outer.loss", "torch", "cross_entropy", {}),
        ("alias", "torch", "cross_entropy", {}),
        ("conditional", "torch", "cross_entropy", {}),
    ],
)
def test_the_spec_is_valid_and_fits_the_loss(cli, losses, name, framework, function, parameters):
    outcome = cli("init", f"losses.py:{name}", "--output", "x.gradaudit.yaml", "--no-workflow")
    assert (outcome.status, outcome.out) == (0, "wrote x.gradaudit.yaml\n")
    text = (losses / "x.gradaudit.yaml").read_text(encoding="utf-8")
    (subject,) = yaml.safe_load(text)["subjects"]
    assert subject == {framework: f"losses.py:{name}"}
    (case,) = load(["x.gradaudit.yaml"])
    assert case.function.name == function
    assert {key: case.function.parameters[key] for key in parameters} == parameters
    assert case.subjects[0].backend == framework
    assert not (losses / ".github").exists()


def test_what_is_left_to_the_user_is_said(cli, losses):
    outcome = cli("init", "losses.py:FocalLoss", "--no-workflow")
    assert "FocalLoss needs classes: fill in kwargs: in focal_loss.gradaudit.yaml" in outcome.err
    text = (losses / "focal_loss.gradaudit.yaml").read_text()
    assert "# kwargs: {classes: ...}" in text
    assert "# probes: [" in text
    cli("init", "losses.py:SmoothedCrossEntropy", "--no-workflow")
    padded = (losses / "smoothed_cross_entropy.gradaudit.yaml").read_text()
    assert "ignored: 3" in padded
    assert "# probes: [" not in padded


def test_every_comment_that_is_a_key_is_valid_too(cli, losses):
    cli("init", "losses.py:in_tensorflow", "--no-workflow")
    text = (losses / "in_tensorflow.gradaudit.yaml").read_text()
    keys = ("# kwargs", "# input", "# targets", "# probes")
    for key in keys:
        assert text.count(key) == 1
        text = text.replace(key, key.removeprefix("# "))
    (losses / "all.yaml").write_text(text)
    assert cli("validate", "all.yaml").status == 0
    (case,) = load(["all.yaml"])
    assert dict(case.subjects[0].kwargs) == {"name": "a: b"}


def test_nothing_is_overwritten_unless_forced(cli, losses):
    spec, workflow = losses / "in_jax.gradaudit.yaml", losses / ".github" / "workflows" / "gradaudit.yml"
    assert cli("init", "losses.py:in_jax").out.splitlines() == [
        f"wrote {spec.name}",
        "wrote .github/workflows/gradaudit.yml",
    ]
    original = spec.read_text()
    spec.write_text("mine")
    outcome = cli("init", "losses.py:in_jax")
    assert outcome.status == 2
    assert "in_jax.gradaudit.yaml is there already; --force overwrites" in outcome.err
    assert spec.read_text() == "mine"
    assert cli("init", "losses.py:in_jax", "--force").status == 0
    assert spec.read_text() == original
    # The same workflow serves every spec; another one is the user's.
    assert cli("init", "losses.py:kl_div").out == "wrote kl_div.gradaudit.yaml\n"
    workflow.write_text("mine")
    assert cli("init", "losses.py:conditional").status == 2
    assert not (losses / "conditional.gradaudit.yaml").exists()
    assert cli("init", "losses.py:conditional", "--no-workflow").status == 0
    assert workflow.read_text() == "mine"


def test_a_dangling_link_is_something_there(cli, losses):
    (losses / "in_jax.gradaudit.yaml").symlink_to(losses / "elsewhere")
    assert cli("init", "losses.py:in_jax").status == 2


def test_the_workflow_installs_what_the_project_needs(cli, losses):
    (losses / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (losses / "requirements.txt").write_text("torch\n")
    cli("init", "losses.py:in_jax")
    workflow = yaml.safe_load((losses / ".github" / "workflows" / "gradaudit.yml").read_text())
    runs = [step["run"] for step in workflow["jobs"]["gradients"]["steps"] if "run" in step]
    assert runs[0] == "python -m pip install gradaudit -e . -r requirements.txt"


def test_a_file_is_named_from_where_the_spec_stands(cli, losses):
    (losses / "specs").mkdir()
    cli("init", "losses.py:in_jax", "--output", "specs/a.yaml", "--no-workflow")
    assert yaml.safe_load((losses / "specs" / "a.yaml").read_text())["subjects"] == [{"jax": "../losses.py:in_jax"}]


def test_modules_are_found_and_not_imported(cli, losses):
    (losses / "pkg").mkdir()
    (losses / "pkg" / "__init__.py").write_text("raise SystemExit\n")
    (losses / "losses.py").rename(losses / "pkg" / "losses.py")
    assert cli("init", "pkg.losses:in_jax", "--no-workflow").status == 0
    spec = yaml.safe_load((losses / "in_jax.gradaudit.yaml").read_text())
    assert spec["subjects"] == [{"jax": "pkg.losses:in_jax"}]


def test_an_onnx_file_is_a_subject(cli, losses):
    (losses / "my loss.onnx").write_bytes(b"not read")
    assert cli("init", "my loss.onnx", "--no-workflow").status == 0
    assert yaml.safe_load((losses / "my_loss.gradaudit.yaml").read_text())["subjects"] == [{"onnx": "my loss.onnx"}]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("losses.py", "names no function; expected PATH.py:NAME or MODULE:NAME"),
        ("losses.py:", "names no function"),
        ("losses.py:a b", "names no function"),
        ("gone.py:x", "there is no such file"),
        ("gone.onnx", "there is no such file"),
        ("no_such_module_here:x", "there is no such module here or among the installed ones"),
        ("a-b:x", "neither a module nor a file that ends in .py"),
        ("losses.py:FocalLos", "there is no 'FocalLos' in it; did you mean FocalLoss?"),
        ("broken.py:x", "broken.py:1: it cannot be read as Python"),
        ("empty.py:x", "there is no 'x' in it; it is empty"),
    ],
)
def test_what_is_no_loss_is_refused_and_nothing_written(cli, losses, target, message):
    (losses / "broken.py").write_text("def (")
    (losses / "empty.py").write_text("")
    outcome = cli("init", target)
    assert outcome.status == 2
    assert message in outcome.err
    assert not list(losses.glob("*.yaml"))
    assert not (losses / ".github").exists()


def test_defaults_that_the_function_cannot_take_are_left_out():
    found = Sketch("torch", "loss", ("x", "y"), (("eps", 1e-8), ("reduction", "bad"), ("ignore_index", None)), (), "")
    assert function_of(found) == ("cross_entropy", {"label_smoothing": 1e-8})
    focal = Sketch("torch", "focal_loss", ("x", "y"), (("gamma", True), ("smoothing", 0.1)), (), "")
    assert function_of(focal) == ("focal", {})
