"""Scripts of losses in JAX and TensorFlow: the framework alone shows the fault, and the mended loss is right."""

import ast
import sys

import pytest

from tests.replay.conftest import ended, gradaudit

pytestmark = pytest.mark.frameworks

LOSSES = {
    "jax": """
import jax
import jax.numpy as jnp


def wrong(logits, targets):
    log_p = jax.nn.log_softmax(FAULT)
    return -jnp.take_along_axis(log_p, targets[:, None], axis=1).mean()


class Wrong:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, logits, targets):
        return self.factor * wrong(logits, targets)
""",
    "tensorflow": """
import tensorflow as tf


def wrong(logits, targets):
    logits = FAULT
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))


class Wrong:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, logits, targets):
        return self.factor * wrong(logits, targets)
""",
}
SOFTMAX = {"jax": "jax.nn.softmax(logits)", "tensorflow": "tf.nn.softmax(logits)"}
SPEC = """
version: 1
defaults: {{function: cross_entropy, targets: {{random: {{seed: 1}}}}, probes: none}}
cases:
  - name: own
    logits: {{random: {{distribution: normal, shape: [4, 5], seed: 2}}}}
    dtypes: [bfloat16]
    subjects:
      - {framework}: losses.py:Wrong
        kwargs: {{factor: 1.0}}
  - name: backend
    logits: [[100, 0, -100]]
    targets: [2]
    backends: [{framework}]
    formulations: [unfused]
"""
ALONE = "import sys, runpy; sys.modules['gradaudit'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


@pytest.fixture(scope="module", params=["jax", "tensorflow"])
def audited(request, tmp_path_factory):
    """The framework, a folder with its losses, and the names of what was saved."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "losses.py").write_text(LOSSES[request.param].replace("FAULT", SOFTMAX[request.param]))
    (folder / "all.gradaudit.yaml").write_text(SPEC.format(framework=request.param))
    outcome = gradaudit("check", "--save-failures", "failures", "-q", "--output-format", "concise", folder=folder)
    assert outcome.status == 1, outcome.err
    return request.param, folder, sorted(path.name for path in (folder / "failures").iterdir())


def shown(folder, saved, out):
    """How the script ends in an isolated Python that cannot import gradaudit."""
    written = gradaudit("replay", f"failures/{saved}", "--as-script", out, folder=folder)
    assert written.status == 0, written.err
    tree = ast.parse((folder / out).read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "gradaudit"]
    return again(folder, out)


def again(folder, out):
    return ended([sys.executable, "-I", "-c", ALONE, out], folder)


def test_the_scripts_show_their_faults_and_the_mended_loss_is_right(audited):
    framework, folder, names = audited
    assert [name.rpartition("-")[0] for name in names] == [
        f"backend-{framework}-unfused-float32-x1",
        "own-wrong-custom-bfloat16-x1",
    ]
    for name in names:
        end = shown(folder, name, f"{name}.py")
        assert end.status == 1, (name, end.out, end.err)
        lines = end.out.splitlines()
        assert lines.pop() == f"{len(lines)} of {len(lines)} elements are wrong"
        # The script computes what the worker computed: what was returned then is returned now, to the digit.
        for line in lines:
            got = line.partition(": ")[2].partition(";")[0]
            assert line.endswith(f"WRONG (it was {got})"), line
    losses = folder / "losses.py"
    losses.write_text(losses.read_text().replace(SOFTMAX[framework], "logits"))
    end = again(folder, f"{names[-1]}.py")
    assert end.status == 0, (end.out, end.err)
