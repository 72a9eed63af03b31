"""`gradaudit init`: what it makes of a loss without importing it, and what it leaves alone."""

from __future__ import annotations

import ast
import json
import shlex
import textwrap

import pytest
import yaml

from gradaudit.cli import requirement
from gradaudit.specs import source_traits
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
        def __init__(self, table, classes, gamma=1.5):
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
    assert "FocalLoss needs table: fill in kwargs: in focal_loss.gradaudit.yaml" in outcome.err
    text = (losses / "focal_loss.gradaudit.yaml").read_text()
    assert "# kwargs: {classes: 10, table: ...}" in text
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
    outcome = cli("init", "losses.py:numpy_loss")
    assert (outcome.status, outcome.out) == (0, "wrote numpy_loss.gradaudit.yaml\n")
    workflow.write_text("mine")
    outcome = cli("init", "losses.py:conditional")
    assert (outcome.status, outcome.out) == (0, "wrote conditional.gradaudit.yaml\n")
    assert (
        ".github/workflows/gradaudit.yml is there already and stays as it is; --force writes it anew" in outcome.err
    )
    assert workflow.read_text() == "mine"
    outcome = cli("init", "losses.py:in_tensorflow")
    assert "gradaudit.yml stays as it is, and does not name tensorflow: it has to install gradaudit[tensorflow]" in (
        outcome.err
    )
    outcome = cli("init", "losses.py:kl_div", "--no-workflow")
    assert "workflows" not in outcome.err
    assert cli("init", "losses.py:kl_div", "--force").status == 0
    assert "gradaudit check" in workflow.read_text()


def test_a_dangling_link_is_something_there(cli, losses):
    (losses / "in_jax.gradaudit.yaml").symlink_to(losses / "elsewhere")
    assert cli("init", "losses.py:in_jax").status == 2


def job_of(folder):
    """The job of the workflow in a folder, and its steps by name."""
    text = (folder / ".github" / "workflows" / "gradaudit.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["gradients"]
    return job, {step.get("name", step.get("uses")): step for step in job["steps"]}


def installed_from(monkeypatch, described):
    """This gradaudit, as if pip had noted (PEP 610) that it was installed so."""

    class Distribution:
        def read_text(self, name):
            assert name == "direct_url.json"
            return described and json.dumps(described)

    monkeypatch.setattr(requirement.metadata, "distribution", {"gradaudit": Distribution()}.__getitem__)


def test_the_workflow_installs_what_the_project_needs(cli, losses, monkeypatch):
    installed_from(monkeypatch, None)
    (losses / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (losses / "requirements.txt").write_text("torch\n")
    cli("init", "losses.py:conditional")
    _, steps = job_of(losses)
    assert steps["Install"]["run"] == "python -m pip install gradaudit -e . -r requirements.txt"
    assert steps["actions/setup-python@v5"]["with"]["cache"] == "pip"
    cli("init", "losses.py:in_jax", "--force")
    assert job_of(losses)[1]["Install"]["run"].startswith("python -m pip install 'gradaudit[jax]' -e .")


def test_a_cache_without_a_key_would_fail_the_job(cli, losses):
    cli("init", "losses.py:conditional")
    assert "cache" not in job_of(losses)[1]["actions/setup-python@v5"]["with"]


@pytest.mark.parametrize(
    ("described", "wanted"),
    [
        (None, "gradaudit"),
        (
            {"url": "https://host/some/gradaudit", "vcs_info": {"vcs": "git", "commit_id": "a1b2"}},
            "'gradaudit @ git+https://host/some/gradaudit@a1b2'",
        ),
        (
            {"url": "ssh://git@host/x", "subdirectory": "py", "vcs_info": {"vcs": "git", "commit_id": "a1b2"}},
            "'gradaudit @ git+ssh://git@host/x@a1b2#subdirectory=py'",
        ),
        ({"url": "https://host/gradaudit-0.1.0.whl", "archive_info": {}}, "'gradaudit @ https://host/gradaudit-0.1.0.whl'"),
        ({"url": "https://me:secret@host/x.whl", "archive_info": {}}, "gradaudit"),
        ({"url": "file:///somewhere/else", "dir_info": {"editable": True}}, "gradaudit"),
        ({"strange": 1}, "gradaudit"),
    ],
)  # fmt: skip
def test_the_workflow_installs_gradaudit_as_it_was_installed_here(cli, losses, monkeypatch, described, wanted):
    installed_from(monkeypatch, described)
    outcome = cli("init", "losses.py:conditional")
    assert job_of(losses)[1]["Install"]["run"] == f"python -m pip install {wanted}"
    assert "secret" not in outcome.err
    # A name is no substitute for a folder or a password, and that is said.
    lost = described is not None and wanted == "gradaudit" and "url" in described
    assert ("--requirement names" in outcome.err) == lost


def test_a_copy_within_the_repository_is_installed_by_its_path(cli, losses, monkeypatch):
    (losses / "tools" / "gradaudit").mkdir(parents=True)
    installed_from(monkeypatch, {"url": (losses / "tools" / "gradaudit").as_uri(), "dir_info": {}})
    assert "--requirement" not in cli("init", "losses.py:in_jax").err
    assert job_of(losses)[1]["Install"]["run"] == "python -m pip install './tools/gradaudit[jax]'"


def test_a_requirement_is_an_argument_of_pip_and_of_nothing_else(cli, losses):
    hostile = "gradaudit; touch owned #: 'x' $(touch owned)"
    assert cli("init", "losses.py:conditional", "--requirement", hostile).status == 0
    run = job_of(losses)[1]["Install"]["run"]
    assert shlex.split(run) == ["python", "-m", "pip", "install", hostile]
    for index, wrong in enumerate(("", " ", "-r x", "a\nb", "${{ secrets.X }}")):
        outcome = cli(
            "init", f"losses.py:{('kl_div', 'Swish', 'in_jax', 'numpy_loss', 'alias')[index]}", "--requirement", wrong
        )
        assert outcome.status == 2
        assert "expected one requirement as pip takes it" in outcome.err
    outcome = cli("init", "losses.py:kl_div", "--requirement", "x", "--no-workflow")
    assert (outcome.status, "none is written; --workflow writes it" in outcome.err) == (2, True)


def test_a_repository_of_gitlab_gets_no_workflow_for_github(cli, losses):
    (losses / ".gitlab-ci.yml").touch()
    outcome = cli("init", "losses.py:conditional")
    assert (outcome.status, outcome.out) == (0, "wrote conditional.gradaudit.yaml\n")
    assert "gradaudit check --report gitlab=gl-code-quality.json --report junit=gradaudit.xml" in outcome.err
    assert "workflows" in cli("init", "losses.py:conditional", "--workflow", "--force").out
    # Who has both gets both.
    assert "workflows" in cli("init", "losses.py:conditional", "--force").out


def test_a_workflow_stands_where_github_reads_it_and_runs_where_the_settings_are(cli, losses, monkeypatch):
    (losses / ".git").mkdir()
    (losses / "deep" / "src").mkdir(parents=True)
    (losses / "losses.py").rename(losses / "deep" / "src" / "losses.py")
    monkeypatch.chdir(losses / "deep" / "src")
    assert cli("init", "losses.py:conditional").out.splitlines() == [
        "wrote conditional.gradaudit.yaml",
        "wrote ../../.github/workflows/gradaudit.yml",
    ]
    job, steps = job_of(losses)
    assert "defaults" not in job
    assert steps["Keep the reports"]["with"]["path"].split() == ["gradaudit.json", "gradaudit.html"]
    (losses / "deep" / "pyproject.toml").write_text("[tool.gradaudit]\nfail-on = 'warning'\n")
    cli("init", "losses.py:conditional", "--force")
    job, steps = job_of(losses)
    assert job["defaults"] == {"run": {"working-directory": "deep"}}
    assert steps["Keep the reports"]["with"]["path"].split() == ["deep/gradaudit.json", "deep/gradaudit.html"]


def test_the_baseline_is_part_of_the_workflow_or_offered(cli, losses):
    def audit():
        cli("init", "losses.py:conditional", "--force")
        text = (losses / ".github" / "workflows" / "gradaudit.yml").read_text()
        return job_of(losses)[1]["Audit"]["run"], "gradaudit baseline update" in text

    run, offered = audit()
    assert ("--baseline" in run, offered) == (False, True)
    (losses / "gradaudit-baseline.txt").write_text("")
    run, offered = audit()
    assert ("--baseline gradaudit-baseline.txt --report" in run, offered) == (True, False)
    (losses / "pyproject.toml").write_text('[tool.gradaudit]\nbaseline = "gradaudit-baseline.txt"\n')
    run, offered = audit()
    assert ("--baseline" in run, offered) == (False, False)


@pytest.mark.parametrize(
    ("output", "place"),
    [("specs/", "specs/in_jax.gradaudit.yaml"), ("there", "there/in_jax.gradaudit.yaml"), ("new/a.yml", "new/a.yml")],
)
def test_a_spec_goes_into_a_folder_that_is_there_or_not(cli, losses, output, place):
    (losses / "there").mkdir()
    assert cli("init", "losses.py:in_jax", "--output", output, "--no-workflow").out == f"wrote {place}\n"
    assert yaml.safe_load((losses / place).read_text())["subjects"] == [{"jax": "../losses.py:in_jax"}]
    assert cli("validate", place).status == 0


def test_a_spec_that_no_check_would_find_is_refused_or_said(cli, losses):
    outcome = cli("init", "losses.py:in_jax", "--output", "x.txt", "--no-workflow")
    assert outcome.status == 2
    assert "the name of a spec ends in .yaml; expected such as x.txt/in_jax.gradaudit.yaml" in outcome.err
    assert "finds *.gradaudit.yaml" in cli("init", "losses.py:in_jax", "--output", "x.yaml", "--no-workflow").err
    (losses / "pyproject.toml").write_text('[tool.gradaudit]\nspecs = ["specs"]\n')
    outcome = cli("init", "losses.py:in_jax", "--no-workflow")
    assert "[tool.gradaudit] specs does not name in_jax.gradaudit.yaml: add it" in outcome.err
    outcome = cli("init", "losses.py:in_jax", "--output", "specs/", "--no-workflow")
    assert "does not name" not in outcome.err


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


@pytest.mark.parametrize(
    "line", ["from .deep.losses import SmoothedCrossEntropy as Mine", "from pkg.deep import Mine"]
)
def test_a_name_is_followed_to_where_it_is_defined(cli, losses, line):
    (losses / "pkg" / "deep").mkdir(parents=True)
    (losses / "pkg" / "__init__.py").write_text(f"{line}\n")
    (losses / "pkg" / "deep" / "__init__.py").write_text("from .losses import SmoothedCrossEntropy as Mine\n")
    (losses / "losses.py").rename(losses / "pkg" / "deep" / "losses.py")
    assert cli("init", "pkg:Mine", "--no-workflow").status == 0
    spec = yaml.safe_load((losses / "mine.gradaudit.yaml").read_text())
    assert spec["subjects"] == [{"torch": "pkg:Mine"}]
    assert spec["function"]["label_smoothing"] == 0.1
    # Two files that import a name from each other define it nowhere.
    (losses / "pkg" / "deep" / "losses.py").write_text("from pkg import Mine as SmoothedCrossEntropy\n")
    assert cli("init", "pkg:Mine", "--no-workflow", "--force").status == 0


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
        ("losses.py:Gone", "there is no 'Gone' in it; there are SmoothedCrossEntropy, FocalLoss, Swish"),
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


# -------------------------------------------------------------------------------------- how a loss wants to be called


def spec_of(cli, folder, source, name="f"):
    (folder / "losses.py").write_text(textwrap.dedent(source), encoding="utf-8")
    outcome = cli("init", f"losses.py:{name}", "--output", "x.yaml", "--no-workflow", "--force")
    assert outcome.status == 0, outcome.err
    text = (folder / "x.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text), outcome.err, text


def test_one_hot_rows_are_seen_in_the_source(cli, losses):
    one_hot = """
        import torch
        def f(logits, targets):
            return -(targets * torch.log_softmax(logits, -1)).sum(-1).mean()
    """
    spec, _, _ = spec_of(cli, losses, one_hot)
    assert spec["subjects"] == [{"torch": "losses.py:f", "targets": "one_hot"}]


@pytest.mark.parametrize(
    ("body", "one_hot"),
    [
        ("return -(y * logp).sum()", True),
        ("return keras.losses.categorical_crossentropy(y, x, from_logits=True)", True),
        ("return optax.softmax_cross_entropy(logits=x, labels=y).mean()", True),
        ("return keras.losses.sparse_categorical_crossentropy(y, x)", False),
        ("y = one_hot(y)\n    return -(y * logp).sum()", False),
        ("return -(F.one_hot(y, 10) * logp).sum()", False),
        ("return -logp.gather(1, y[:, None]).mean() * (y != -100)", False),
        ("return -logp[rows, y * 1].mean()", False),
        ("return -(jnp.take_along_axis(logp, y[:, None], 1) * y)", False),
        ("return F.cross_entropy(x, y)", False),
    ],
)
def test_what_a_function_does_with_its_targets(body, one_hot):
    (function,) = ast.parse(f"def f(x, y):\n    {body}\n").body
    assert source_traits.takes_one_hot(function, "y") is one_hot


def test_an_order_of_arguments_that_no_call_has_is_said(cli, losses):
    spec, said, text = spec_of(cli, losses, "import torch\ndef f(y_true, y_pred):\n    return y_true * y_pred\n")
    assert "f is called with (logits, targets), and its parameters are (y_true, y_pred); put this beside it" in said
    assert "\n#   def audited(logits, targets): return f(targets, logits)\nsubjects:" in text
    assert spec["subjects"] == [{"torch": "losses.py:f", "targets": "one_hot"}]
    _, said, _ = spec_of(cli, losses, "import torch\ndef f(x, y):\n    return x\n")
    assert "is called" not in said
    keras = """
        import keras
        class f(keras.losses.Loss):
            def call(self, y_true, y_pred):
                return keras.losses.categorical_crossentropy(y_true, y_pred)
    """
    spec, said, _ = spec_of(cli, losses, keras)
    assert "is called" not in said
    assert spec["subjects"] == [{"tensorflow": "losses.py:f", "targets": "one_hot"}]


def test_a_numpy_loss_is_given_the_upstream_gradient(cli, losses):
    spec, said, text = spec_of(cli, losses, "import numpy as np\ndef f(z, y):\n    return np.log(z), z\n")
    assert "f is called with (logits, targets, upstream), and its parameters are (z, y)" in said
    wrapper = "def audited(logits, targets, upstream): loss, gradient = f(logits, targets); return loss, "
    assert f"#   {wrapper}gradient * upstream\nsubjects:" in text
    assert spec["function"] == "cross_entropy"
    _, said, _ = spec_of(cli, losses, "import numpy as np\ndef f(z, y, c):\n    return np.log(z), z\n")
    assert "is called" not in said
    spec, said, _ = spec_of(
        cli, losses, "import numpy as np\ndef softmax(z, dy):\n    return np.log(z), z\n", "softmax"
    )
    assert "is called" not in said
    assert spec["function"] == "softmax"
    assert "targets" not in spec


@pytest.mark.parametrize(
    "source",
    [
        "from torch import nn\ndef f(smoothing=0.1):\n    return nn.CrossEntropyLoss(label_smoothing=smoothing)\n",
        "import torch\ndef f(smoothing=0.1):\n    def loss(x, y):\n        return x\n    return loss\n",
        "import torch\nfrom functools import partial\ndef f(smoothing=0.1):\n    return partial(g, smoothing)\n",
        "import torch\ndef f(smoothing=0.1):\n    if f:\n        return lambda x, y: x\n    return lambda x, y: y\n",
    ],
)
def test_a_factory_is_told_from_a_loss(cli, losses, source):
    spec, _, _ = spec_of(cli, losses, source)
    assert spec["subjects"] == [{"torch": "losses.py:f", "factory": True}]
    assert spec["function"] == {"name": "cross_entropy", "label_smoothing": 0.1}


@pytest.mark.parametrize(
    "body", ["return torch.Tensor(x)", "return x", "return", "y = lambda z: z\n    return y(x)", "return x.Loss"]
)
def test_a_loss_is_no_factory(body):
    (function,) = ast.parse(f"def f(x, y):\n    {body}\n").body
    assert not source_traits.makes_a_loss(function)


def test_the_number_of_classes_is_filled_in_and_names_say_what_is_fed(cli, losses):
    source = """
        from torch import nn
        class f(nn.Module):
            def __init__(self, num_classes, gamma=1.0):
                super().__init__()
            def forward(self, probs, target):
                return probs
    """
    spec, said, _ = spec_of(cli, losses, source)
    assert spec["subjects"] == [{"torch": "losses.py:f", "kwargs": {"num_classes": 10}, "input": "probabilities"}]
    assert "fill in" not in said
    spec, _, _ = spec_of(cli, losses, "import torch\ndef f(log_probs, target):\n    return log_probs\n")
    assert spec["subjects"] == [{"torch": "losses.py:f", "input": "log_probabilities"}]
