"""A regression story of two versions of four losses: one stays, one worsens within its tolerance, one breaks, one
improves; the baseline tells each of them apart, and so does the comparison of the two reports."""

import json
import subprocess

import pytest

from tests.end_to_end.conftest import SCRIPT, Outcome, environment

pytestmark = pytest.mark.slow

SPEC = """\
version: 1
name: losses
function: cross_entropy
logits: {random: {distribution: normal, shape: [8, 11], seed: 1}}
targets: {random: {seed: 2}}
probes: none
subjects:
  - torch: losses.py:steady
  - torch: losses.py:worsens
  - torch: losses.py:breaks
  - torch: losses.py:improves
"""

LOSSES = """\
import torch.nn.functional as F

ULP = 2.0**-23

def steady(logits, targets):
    return F.cross_entropy(logits, targets)

def worsens(logits, targets):
    return F.cross_entropy(logits, targets) * (1 + {worsens} * ULP)

def breaks(logits, targets):
    return F.cross_entropy(logits, targets){breaks}

def improves(logits, targets):
    return F.cross_entropy(logits, targets) * (1 + {improves} * ULP)
"""

OTHERWISE = "F.nll_loss(logits.flip(1).log_softmax(1), logits.shape[1] - 1 - targets)"

FIRST = LOSSES.format(worsens=2, breaks="", improves=6)
SECOND = LOSSES.format(worsens=6, breaks=" * len(targets)", improves=0)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The folder after the story, and the outcome of each command by its name."""
    folder = tmp_path_factory.mktemp("regression")

    def run(*arguments, ci=False, **environ):
        done = subprocess.run(
            [SCRIPT, *arguments],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**environment(), **({"CI": "true"} if ci else {}), **environ},
            timeout=120,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    (folder / "losses.gradaudit.yaml").write_text(SPEC)
    (folder / "losses.py").write_text(FIRST)
    outcomes = {"update": run("baseline", "update", "-q")}
    outcomes["unchanged"] = run(
        "check", "-q", "--baseline", "gradaudit-baseline.txt", "--report", "json=first.json", ci=True
    )
    kept = (folder / "gradaudit-baseline.txt").read_bytes()
    (folder / "losses.py").write_text(SECOND)
    outcomes["second"] = run(
        "check", "-q", "--baseline", "gradaudit-baseline.txt", "--report", "json=second.json", ci=True
    )
    assert (folder / "gradaudit-baseline.txt").read_bytes() == kept
    return folder, run, outcomes


def test_the_first_version_is_sound_and_holds_its_own_baseline(story):
    _, _, outcomes = story
    assert (outcomes["update"].status, outcomes["unchanged"].status) == (0, 0)
    assert outcomes["update"].out.startswith("recorded: 4 evaluations and ")
    page = " ".join(outcomes["unchanged"].out.split())
    assert "4 evaluations as before; exit status 0: nothing is worse than the baseline" in page


def test_the_second_version_fails_and_each_loss_is_told_apart(story):
    folder, run, outcomes = story
    assert outcomes["second"].status == 1
    assert json.loads((folder / "second.json").read_text())["exit_status"] == 1
    checked = run("baseline", "check", "--from", "second.json", "--output-format", "json")
    document = json.loads(checked.out)
    told = {(change["kind"], change["what"], change["subject"]) for change in document["changes"]}
    assert told == {
        ("worse", "evaluation", "worsens"),
        ("worse", "evaluation", "breaks"),
        ("new", "finding", "breaks"),
        ("better", "evaluation", "improves"),
    }
    assert (checked.status, document["counts"]["same"]) == (1, 1)
    (new,) = [change for change in document["changes"] if change["kind"] == "new"]
    assert (new["code"], new["location"]["path"]) == ("BUG401", "losses.py")


def test_the_worse_loss_is_still_within_its_tolerance(story):
    folder, _, _ = story
    (case,) = json.loads((folder / "second.json").read_text())["cases"]
    found = {each["subject"]: each for each in case["evaluations"]}
    assert found["worsens"]["explanation"]["explains"]
    assert not [finding for finding in case["findings"] if finding["subject"] in {"steady", "worsens", "improves"}]


def test_the_comparison_says_by_how_much(story):
    _, run, _ = story
    outcome = run("compare", "first.json", "second.json", "--output-format", "json")
    document = json.loads(outcome.out)
    assert (outcome.status, document["environment"], document["profiles"]) == (1, [], [])
    texts = {(change["kind"], change["subject"]): change["text"] for change in document["changes"]}
    went = {
        (each["subject"], each["quantity"]): [error["ratio"] for error in each["errors"]]
        for each in document["trends"]
    }
    before, now = went["worsens", "gradient"]
    assert 2.5 < now / before < 3.5
    assert now < 1.0
    assert f"gradient {before:.3g} -> {now:.3g} of the tolerance" in texts["worse", "worsens"]


def test_the_ratchet_turns_only_forward(story):
    folder, run, _ = story
    refused = run("baseline", "update", "--from", "second.json", ci=True)
    assert refused.status == 2
    # The improvement alone is taken over: the two others are mended first.
    (folder / "losses.py").write_text(LOSSES.format(worsens=2, breaks="", improves=0))
    better = run("baseline", "check", "-q")
    assert better.status == 0
    assert "better: 1" in better.out
    assert run("baseline", "update", "-q").status == 0
    back = run("baseline", "check", "--from", "first.json")
    assert back.status == 1
    assert "worse: 1\n  losses.gradaudit.yaml:1: losses: improves (torch) float32: gradient " in back.out


def test_sound_code_that_rounds_in_another_way_is_no_regression(story):
    folder, run, _ = story
    baseline = ("--file", "sound.txt")
    (folder / "losses.py").write_text(FIRST)
    assert run("baseline", "update", *baseline, "-q").status == 0
    # Sums in the other order, without vector instructions, in another spelling.
    (folder / "losses.py").write_text(FIRST.replace("F.cross_entropy(logits, targets)", OTHERWISE))
    outcome = run("baseline", "check", *baseline, "-q", ATEN_CPU_CAPABILITY="default", OMP_NUM_THREADS="3")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "4 evaluations as before; exit status 0: nothing is worse than the baseline\n"


def test_in_ci_nothing_is_written(story):
    folder, run, _ = story
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}
    assert run("baseline", "update", "--from", "second.json", ci=True).status == 2
    run("baseline", "check", "--from", "second.json", ci=True)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()} == before
