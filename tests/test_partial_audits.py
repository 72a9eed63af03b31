"""Audits of a part: stopped at the first failing case, split into shards, taken up again."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gradaudit import __version__, pipeline, resumption, surroundings
from gradaudit.errors import FlagError, ReportError, RequestError
from gradaudit.records.location import Location
from gradaudit.records.report import NotRun
from gradaudit.regression.baseline import of_report
from gradaudit.reports import junit, summary
from gradaudit.reports.json_document import document
from gradaudit.reports.merging import merged
from gradaudit.reports.read_document import report_of
from gradaudit.specs import loading, shards

SPEC = """
version: 1
defaults: {logits: [[100.0, 0.0, -100.0]]}
cases:
  - {name: sound, function: cross_entropy, targets: [2], backends: [numpy]}
  - {name: apart, function: cross_entropy, targets: [2], backends: [numpy], formulations: [unfused]}
  - {name: activation, function: softmax, logits: [[0.0, 1.0]], probes: none, upstream: random,
     subjects: [{numpy: losses.py:softmax}]}
  - {name: drawn, function: cross_entropy, backends: [numpy], targets: {random: {}},
     logits: {random: {shape: [3, 4], distribution: normal}}}
  - {name: last, function: cross_entropy, targets: [2], backends: [numpy]}
"""
NAMES = ["sound", "apart", "activation", "drawn", "last"]
LOSSES = """
    import numpy as np
    from helping import exp


    def softmax(logits, upstream):
        p = exp(logits) / exp(logits).sum(axis=1, keepdims=True)
        return p, p * (upstream - (p * upstream).sum(axis=1, keepdims=True))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "losses.py").write_text(textwrap.dedent(LOSSES), encoding="utf-8")
    (tmp_path / "helping.py").write_text("from numpy import exp\n", encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    return tmp_path


def audited(events=None, **settings):
    told = [] if events is None else events
    return pipeline.audit(loading.load(["spec.yaml"]), pipeline.Settings(**settings), told.append)


def names(report):
    return [case.case.name for case in report.cases]


def timeless(report):
    """The document without what is declared to differ: times, and the command line."""

    def cleaned(value):
        if isinstance(value, dict):
            return {key: cleaned(each) for key, each in value.items() if key not in ("seconds", "command")}
        return [cleaned(each) for each in value] if isinstance(value, list) else value

    return json.dumps(cleaned(document(report)), sort_keys=True)


def saved(report):
    return report_of(json.loads(json.dumps(document(report))))


# ------------------------------------------------------------------------------------------------------- fail-fast


def test_nothing_is_run_after_the_first_case_that_fails(folder):
    report = audited(fail_fast=True)
    assert names(report) == ["sound", "apart"]
    assert [(case.name, case.reason) for case in report.not_run] == [(name, "fail-fast") for name in NAMES[2:]]
    assert report.not_run[0].source.line == 7
    assert (report.exit_status, report.interrupted) == (1, False)
    assert "3 cases not run (--fail-fast): activation, drawn, last" in summary.summary(report)[1]
    assert saved(report).not_run == report.not_run


def test_a_case_that_was_not_run_is_a_skipped_test(folder):
    suites = ElementTree.fromstring(junit.render(saved(audited(fail_fast=True))))  # noqa: S314 - it is our own
    skipped = [
        (suite.get("name"), test.find("skipped").get("message"))
        for suite in suites
        for test in suite.findall("testcase")
        if test.find("skipped") is not None
    ]
    assert skipped == [(name, "the audit ended before it (--fail-fast)") for name in NAMES[2:]]
    assert suites.get("skipped") == "3"


def test_what_the_baseline_holds_stops_no_audit(folder):
    kept = of_report(audited())
    assert names(audited(fail_fast=True)) != NAMES
    assert names(audited(fail_fast=True, baseline=kept)) == NAMES
    without = replace(kept, findings={name: was for name, was in kept.findings.items() if name.case != "apart"})
    assert names(audited(fail_fast=True, baseline=without)) == ["sound", "apart"]


def test_what_fails_is_what_fail_on_says(folder):
    assert audited(fail_fast=True, ignore=("BUG",)).not_run == ()
    assert names(audited(fail_fast=True, ignore=("BUG",), fail_on="info")) == ["sound"]
    assert audited(fail_fast=False).not_run == ()


def test_many_cases_that_were_not_run_are_counted(folder):
    left = tuple(NotRun(f"c{index}", Location("a"), "interrupted") for index in range(7))
    line = summary.summary(replace(audited(), not_run=left))[1]
    assert line.endswith("; 7 cases not run (interrupted): c0, c1, c2, c3, c4 and 2 more")


# --------------------------------------------------------------------------------------------------------- shards


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_case_is_in_one_shard(folder, of):
    cases = loading.load(["spec.yaml"])
    positions = [shards.shard(cases, index, of).positions for index in range(1, of + 1)]
    assert sorted(sum(positions, ())) == list(range(len(cases)))
    assert max(map(len, positions)) - min(map(len, positions)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1.0/2", "٣/٣"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(FlagError, match="expected I/N"):
        shards.parsed(text, "--shard")
    assert shards.parsed(" 2/5 ", "--shard") == (2, 5)


def test_merged_shards_are_the_report_of_the_whole(folder):
    whole = audited()
    parts = [(f"{index}.json", saved(audited(shard=(index, 2)))) for index in (1, 2)]
    assert [names(part) for _, part in parts] == [NAMES[::2], NAMES[1::2]]
    for order in (parts, parts[::-1]):
        assert timeless(merged(order, ())) == timeless(whole)
    assert merged(parts, ("gradaudit", "merge")).command == ("gradaudit", "merge")


def test_merged_shards_tell_what_was_not_run(folder):
    parts = [(str(index), saved(audited(shard=(index, 2), fail_fast=True))) for index in (1, 2)]
    report = merged(parts, ())
    assert (names(report), [case.name for case in report.not_run]) == (
        ["sound", "apart", "activation", "last"],
        ["drawn"],
    )


def test_what_does_not_belong_together_is_not_merged(folder):
    one, two = (saved(audited(shard=(index, 2))) for index in (1, 2))
    other_plan = replace(two, shard=replace(two.shard, plan="0" * 64))
    other_backend = replace(two.environment.backends[0], version="0.1")
    for parts, message in (
        ([one], "of 2 shards 2/2 is missing"),
        ([one, one], "it is shard 1/2, and so is a"),
        ([one, replace(two, shard=replace(two.shard, of=3))], "it is one of 3 shards, and a one of 2"),
        ([one, other_plan], "it belongs to other cases than a"),
        ([one, replace(two, shard=None)], "it is a whole, not a shard"),
        ([one, replace(two, fail_on="info")], "--fail-on is info, and error in a"),
        ([one, replace(two, environment=replace(two.environment, seed=1))], "the seed is 1, and 0 in a"),
        ([one, replace(two, version="9")], f"gradaudit is 9, and {__version__} in a"),
        ([one, replace(two, cases=two.cases[:1])], "it has 1 cases, and places for 2"),
        (
            [one, replace(two, environment=replace(two.environment, backends=(other_backend,)))],
            "run all shards with the same versions",
        ),
    ):
        with pytest.raises(ReportError, match=message):
            merged(list(zip("ab", parts, strict=False)), ())


def test_the_worst_exit_status_of_the_shards_holds(folder):
    one, two = (saved(audited(shard=(index, 2))) for index in (1, 2))
    for statuses, expected in (((0, 1), 1), ((3, 1), 3), ((1, 130), 130), ((0, 0), 0)):
        parts = zip("ab", (replace(one, exit_status=statuses[0]), replace(two, exit_status=statuses[1])), strict=True)
        assert merged(list(parts), ()).exit_status == expected


# --------------------------------------------------------------------------------------------------------- resumed


def evaluated(**settings):
    """The cases of which something was evaluated, in a run that resumes."""
    events = []
    report = audited(events, resume=resumption.Path("kept"), **settings)
    return list(dict.fromkeys(event.text.partition(":")[0] for event in events if ": " in event.text)), report


def test_an_interrupted_audit_goes_on_where_it_was(folder):
    whole = audited()

    def interrupting(event):
        if event.text.startswith("drawn"):
            raise KeyboardInterrupt

    settings = pipeline.Settings(resume=resumption.Path("kept"))
    first = pipeline.audit(loading.load(["spec.yaml"]), settings, interrupting)
    assert (first.exit_status, first.interrupted) == (130, True)
    assert set(names(first)) | {case.name for case in first.not_run} == set(NAMES)
    assert {case.reason for case in first.not_run} == {"interrupted"}
    ran, second = evaluated()
    assert ran == ["drawn", "last"]
    assert timeless(second) == timeless(whole)
    ran, third = evaluated()
    assert (ran, timeless(third)) == ([], timeless(whole))


def test_a_line_cut_short_is_run_again_and_spoils_no_other(folder):
    evaluated()
    path = folder / "kept" / "cases.jsonl"
    kept = path.read_bytes()
    path.write_bytes(kept[:-40])
    assert evaluated()[0] == ["last"]
    assert evaluated()[0] == []
    path.write_bytes(b"nonsense\n[]\n{}\n\xff\n" + kept)
    assert evaluated()[0] == []


def test_a_file_that_is_carried_along_does_not_grow_for_ever(folder, monkeypatch):
    evaluated()
    path = folder / "kept" / "cases.jsonl"
    present = path.read_bytes()
    past = [b'{"case": %d, "hash": "%064x"}\n' % (index, index) for index in range(20)]
    path.write_bytes(b"nonsense\n" + b"".join(past) + present)
    whole = path.stat().st_size
    assert evaluated()[0] == []
    assert path.stat().st_size == whole
    # Half of what there is room for is kept, of the latest; what is asked for now is never dropped.
    monkeypatch.setattr(resumption, "MOST_PAST", 12 * len(past[10]))
    assert evaluated()[0] == []
    assert path.read_bytes() == b"".join(past[-6:]) + present
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_shards_share_a_folder_with_the_whole(folder):
    assert evaluated(shard=(1, 2))[0] == NAMES[::2]
    assert evaluated(shard=(2, 2))[0] == NAMES[1::2]
    assert sorted(path.name for path in (folder / "kept").iterdir()) == ["cases-1-of-2.jsonl", "cases-2-of-2.jsonl"]
    assert evaluated()[0] == []


def append(path):
    path.write_text(path.read_text() + "# changed\n")


def change_spec(folder):
    path = folder / "spec.yaml"
    path.write_text(path.read_text().replace("[[0.0, 1.0]]", "[[0.0, 1.5]]"))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (change_spec, ["activation"]),
        (lambda folder: append(folder / "losses.py"), ["activation"]),
        (lambda folder: append(folder / "helping.py"), ["activation"]),
        (lambda folder: (folder / "deep").mkdir() or (folder / "deep" / "new.py").write_text(""), ["activation"]),
        (lambda folder: (folder / "notes.txt").write_text("nothing to do with it"), []),
        (lambda folder: (folder / ".venv").mkdir() or (folder / ".venv" / "new.py").write_text(""), []),
    ],
    ids=["spec", "loss", "what the loss imports", "a new module", "notes", "hidden"],
)
def test_only_what_changed_is_run_again(folder, change, again):
    evaluated()
    change(folder)
    assert evaluated()[0] == again


@pytest.mark.slow
def test_settings_and_versions_are_part_of_a_case(folder, monkeypatch):
    evaluated()
    assert evaluated(seed=1)[0] == NAMES
    assert evaluated(ignore=("SAT",))[0] == NAMES
    assert evaluated(fail_on="info", jobs=1)[0] == []
    monkeypatch.setattr(surroundings, "__version__", "9.9")
    assert evaluated()[0] == NAMES


@pytest.fixture
def hashes(folder):
    """The hashes of the cases as things stand."""
    cases = loading.load(["spec.yaml"])
    return lambda: resumption.journal(folder / "kept", cases, [[]] * len(cases)).hashes


@pytest.mark.parametrize(
    ("name", "value"), [("_own_sources", "changed"), ("_processor", "another one"), ("_plugins", [["new", "1"]])]
)
def test_other_sources_and_another_processor_make_every_case_another(hashes, monkeypatch, name, value):
    before = hashes()
    assert before == hashes()
    monkeypatch.setattr(surroundings, name, lambda: value)
    assert not set(before) & set(hashes())


def test_a_variable_that_frameworks_read_makes_every_case_another(hashes, monkeypatch):
    before = hashes()
    monkeypatch.setenv("EDITOR", "vi")
    assert hashes() == before
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert not set(before) & set(hashes())


def test_what_is_installed_is_part_of_cases_with_functions_of_the_users(hashes, folder, monkeypatch):
    def changed(before):
        return [name for name, one, two in zip(NAMES, before, hashes(), strict=True) if one != two]

    before = hashes()
    packages = folder.parent / "site"
    (packages / "some-1.0.dist-info").mkdir(parents=True)
    (packages / "some-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1.0\n")
    (packages / "some-1.0.dist-info" / "RECORD").write_text("some.py,sha256=aaaa,1\n")
    monkeypatch.syspath_prepend(packages)
    assert changed(before) == ["activation"]
    # The same version, built anew.
    before = hashes()
    surroundings._distributions.cache_clear()
    (packages / "some-1.0.dist-info" / "RECORD").write_text("some.py,sha256=bbbb,1\n")
    assert changed(before) == ["activation"]
    # One that is installed as it stands in a folder changes with its sources.
    surroundings._distributions.cache_clear()
    (folder.parent / "work").mkdir()
    origin = {"url": (folder.parent / "work").as_uri(), "dir_info": {"editable": True}}
    (packages / "some-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    before = hashes()
    (folder.parent / "work" / "some.py").write_text("x = 1\n")
    assert changed(before) == ["activation"]
    # And so does what PYTHONPATH names.
    (folder.parent / "path").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder.parent / "path"))
    before = hashes()
    (folder.parent / "path" / "helping.py").write_text("x = 1\n")
    assert changed(before) == ["activation"]
    surroundings._distributions.cache_clear()


def test_the_sources_of_gradaudit_are_told_apart(monkeypatch, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "rule.py").write_text(f"x = {name!r}\n")
    found = []
    for name in ("a", "b"):
        surroundings._own_sources.cache_clear()
        monkeypatch.setattr(surroundings, "__file__", str(tmp_path / name / "surroundings.py"))
        found.append(surroundings._own_sources())
    surroundings._own_sources.cache_clear()
    assert found[0] != found[1]


def test_all_of_a_package_is_part_of_what_a_file_in_it_computes(folder):
    deep = folder / "src" / "acme" / "deep"
    deep.mkdir(parents=True)
    (deep / "__init__.py").touch()
    (deep.parent / "__init__.py").touch()
    (folder / "losses.py").rename(deep / "losses.py")
    (folder / "specs").mkdir()
    text = SPEC.replace("losses.py", "../src/acme/deep/losses.py")
    (folder / "specs" / "spec.yaml").write_text(text, encoding="utf-8")
    (folder / "elsewhere").mkdir()
    cases = loading.load(["specs/spec.yaml"])

    def of_the_loss():
        with contextlib.chdir(folder / "elsewhere"):
            there = [replace(case, subjects=tuple(map(moved, case.subjects))) for case in cases]
            return resumption.journal(folder / "kept", there, [[]] * len(cases)).hashes[2]

    def moved(subject):
        return replace(subject, base_directory=str(folder / "specs"))

    before = of_the_loss()
    assert before
    (deep.parent / "tables.py").write_text("x = 1\n")
    assert of_the_loss() != before


@pytest.mark.slow
def test_an_audit_that_was_killed_is_finished_with_the_bytes_of_the_whole(folder):
    """SIGKILL leaves no time to tidy up; what is finished is on the disk."""
    command = [Path(sys.executable).parent / "gradaudit", "check", "-q", "spec.yaml", "--output-format", "json"]
    (whole,) = [subprocess.run([*command], capture_output=True, check=False, cwd=folder).stdout]
    kept = folder / "kept" / "cases.jsonl"
    with subprocess.Popen([*command, "--resume", "kept"], stdout=subprocess.DEVNULL, cwd=folder) as process:
        while process.poll() is None and not kept.is_file():
            time.sleep(0.005)
        process.kill()
    with kept.open("ab") as stream:
        stream.write(b'{"case": {"cut sh')
    resumed = [
        subprocess.run([*command, "--resume", "kept"], capture_output=True, check=False, cwd=folder).stdout
        for _ in range(2)
    ]
    assert [timeless(report_of(json.loads(each))) for each in resumed] == [timeless(report_of(json.loads(whole)))] * 2
    # Times are those of the evaluations, so that nothing at all is left to differ in the second.
    assert resumed[0] == resumed[1]


def test_another_version_of_a_framework_is_another_case(folder):
    cases = loading.load(["spec.yaml"])
    state = audited().environment.backends[0]
    hashes = [
        resumption.journal(folder / "kept", cases, [[each]] * len(cases)).hashes
        for each in (state, state, replace(state, version="0.1"))
    ]
    assert hashes[0] == hashes[1]
    assert not set(hashes[0]) & set(hashes[2])
    assert len(set(hashes[0])) == len(cases)


def test_data_in_files_is_part_of_a_case(folder):
    import numpy as np

    text = "version: 1\nfunction: softmax\nlogits: {file: z.npy}\nbackends: [numpy]\nupstream: per_output\n"
    (folder / "spec.yaml").write_text(text)
    np.save(folder / "z.npy", [[0.0, 1.0]])
    assert evaluated()[0] == ["spec"]
    assert evaluated()[0] == []
    np.save(folder / "z.npy", [[0.0, 2.0]])
    assert evaluated()[0] == ["spec"]


def test_what_could_not_be_audited_is_tried_again(folder):
    (folder / "losses.py").write_text("def softmax(logits, upstream):\n    raise ValueError\n")
    evaluated()
    assert evaluated()[0] == ["activation"]


def test_a_function_that_is_installed_elsewhere_is_always_run(folder):
    path = folder / "spec.yaml"
    path.write_text(path.read_text().replace("losses.py:softmax", "numpy.linalg:norm"))
    cases = loading.load(["spec.yaml"])
    hashes = resumption.journal(folder / "kept", cases, [[]] * len(cases)).hashes
    assert [not found for found in hashes] == [False, False, True, False, False]


def test_fail_fast_stops_at_what_failed_earlier(folder):
    _, first = evaluated(fail_fast=True)
    ran, second = evaluated(fail_fast=True)
    assert (ran, names(second), second.exit_status) == ([], ["sound", "apart"], 1)
    assert second.not_run == first.not_run


def test_a_folder_that_cannot_be_used_is_refused(folder):
    (folder / "kept").write_text("a file")
    with pytest.raises(RequestError, match="--resume 'kept'"):
        evaluated()
