import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import gradaudit.rules
from gradaudit import plugins
from gradaudit.errors import FlagError, PluginError
from gradaudit.rules import registry
from gradaudit.rules.interface import Rule

RULES = registry.rules()
FOLDER = Path(gradaudit.rules.__file__).parent
FOLDERS = {
    "CAN": "cancellation",
    "SAT": "saturation",
    "DIV": "divergence",
    "BUG": "wrong_mathematics",
    "CON": "contract",
    "RUN": "execution",
    "POW": "power",
}
SEVERITIES = {
    "CAN": {"warning", "info"},
    "SAT": {"warning", "info"},
    "DIV": {"error", "warning"},
    "BUG": {"error"},
    "CON": {"error"},
    "RUN": {"error", "warning"},
    "POW": {"warning"},
}
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def test_the_rules_of_the_spine_are_there() -> None:
    expected = {
        "CAN": range(101, 106),
        "SAT": range(201, 204),
        "DIV": range(301, 306),
        "BUG": (*range(401, 405), 411, 421, 431, 432, 441, *range(451, 457), *range(461, 465), 471, 481, 499),
        "CON": range(501, 508),
        "RUN": range(601, 606),
        "POW": (701, 702),
    }
    wanted = {f"{letters}{digits}" for letters, numbers in expected.items() for digits in numbers}
    assert wanted <= set(registry.codes())


def test_codes_and_names_are_unique_and_sorted() -> None:
    assert [rule.code for rule in RULES] == sorted({rule.code for rule in RULES}) == list(registry.codes())
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_rule_file_is_registered() -> None:
    files = {path for path in FOLDER.glob("*/*.py") if "RULE = Rule(" in path.read_text(encoding="utf-8")}
    assert {Path(inspect.getfile(rule.check)) for rule in RULES} == files
    assert len(files) == len(RULES)


@each_rule
def test_one_rule_a_file_named_for_the_fault(rule: Rule) -> None:
    path = Path(inspect.getfile(rule.check))
    assert path.relative_to(FOLDER) == Path(FOLDERS[rule.code[:3]], f"{rule.name.replace('-', '_')}.py")
    text = path.read_text(encoding="utf-8")
    assert text.count("Rule(\n") == 1
    assert text.startswith(f'"""{rule.code}: ')


@each_rule
def test_severity_is_one_of_its_family(rule: Rule) -> None:
    assert rule.severity in SEVERITIES[rule.code[:3]]
    assert rule.family != rule.code[:3]


@each_rule
def test_every_section_is_filled_with_sentences(rule: Rule) -> None:
    for section in (rule.summary, rule.why, rule.advice):
        assert section.strip().endswith(".")
    assert rule.formula.strip()
    assert rule.source.strip()
    assert "\n" not in rule.summary + rule.advice + rule.source + rule.fires_note


@each_rule
def test_names_name_and_do_not_instruct(rule: Rule) -> None:
    first = rule.name.split("-")[0]
    assert first not in {"use", "do", "avoid", "no", "check", "fix", "prefer", "never", "always"}


@each_rule
def test_examples_are_complete_specs(rule: Rule) -> None:
    for text in (rule.fires, rule.silent):
        if text is not None:
            spec = yaml.safe_load(text)
            assert {"version", "name", "function", "logits"} < set(spec)
            assert spec.keys() & {"backends", "subjects"}
            assert spec["version"] == 1
    if rule.fires is not None:
        neighbour = rule.silent_spec
        assert neighbour is not None, "a rule that can be fired needs a neighbour that does not fire it"
        fires, silent = yaml.safe_load(rule.fires), yaml.safe_load(neighbour)
        assert (fires, rule.fires_code) != (silent, rule.silent_code)


@each_rule
def test_the_code_of_an_example_is_what_its_spec_names(rule: Rule) -> None:
    for spec, code in ((rule.fires, rule.fires_code), (rule.silent_spec, rule.silent_code)):
        if spec is None:
            continue
        targets = [subject["torch"] for subject in yaml.safe_load(spec).get("subjects", ())]
        assert bool(targets) is (code is not None)
        for target in targets:
            path, _, attribute = target.partition(":")
            assert path == "losses.py"
            defined = {node.name for node in ast.parse(inspect.cleandoc(code)).body if hasattr(node, "name")}
            assert attribute in defined


@pytest.mark.parametrize("wanted", ["CAN103", "can103", " CAN103 ", "target-gradient-cancelled"])
def test_find_by_code_and_name(wanted: str) -> None:
    assert registry.find(wanted).code == "CAN103"


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [("CAN10", "CAN10[1-5]"), ("softmax-saturate", "softmax-saturated"), ("DIV3O1", "DIV30[1-5]")],
)
def test_find_names_the_nearest(wanted: str, nearest: str) -> None:
    with pytest.raises(FlagError, match=rf"no rule has the code or name '{wanted}'; did you mean {nearest}.*rules`"):
        registry.find(wanted)


def test_find_admits_that_nothing_is_near() -> None:
    with pytest.raises(FlagError, match=re.escape("'xyzzy'. `gradaudit rules` lists them all")):
        registry.find("xyzzy")


@pytest.mark.parametrize(
    ("letters", "begun"),
    [
        ("SAT", ["SAT201", "SAT202", "SAT203"]),
        (" bug40", [f"BUG40{n}" for n in range(1, 5)]),
        ("CAN101", []),
        ("", []),
    ],
)
def test_the_rules_of_a_family(letters: str, begun: list[str]) -> None:
    assert [rule.code for rule in registry.beginning_with(letters)] == begun


@pytest.mark.parametrize("prefix", ["CAN", "can1", "CAN101", "C"])
def test_prefixes_that_begin_a_code_are_taken(prefix: str) -> None:
    registry.check_prefixes((prefix,), "--select")


@pytest.mark.parametrize("prefix", ["CAM", "CAN109", "", " "])
def test_prefixes_that_begin_no_code_are_refused(prefix: str) -> None:
    with pytest.raises(FlagError, match=f"--select '{prefix}': no rule's code begins with it"):
        registry.check_prefixes(("CAN", prefix), "--select")


def test_a_mistyped_family_is_recognised() -> None:
    with pytest.raises(FlagError, match="did you mean CAN"):
        registry.check_prefixes(("CAM",), "--ignore")


class TestForeignRules:
    @pytest.fixture
    def install(self, monkeypatch: pytest.MonkeyPatch) -> object:
        def install(**objects: object) -> None:
            monkeypatch.setattr(plugins, "names", lambda _: tuple(sorted(objects)))
            monkeypatch.setattr(plugins, "get", lambda _, name: objects[name])

        return install

    def test_a_foreign_rule_comes_through_the_same_door(self, install: object) -> None:
        own = replace(RULES[0], code="XYZ901", name="house-rule")
        install(XYZ901=own)
        assert registry.rules() == (own,)
        assert registry.find("house-rule") is own
        assert own.family == "XYZ"

    def test_what_is_no_rule_is_refused(self, install: object) -> None:
        install(XYZ901="a string")
        with pytest.raises(PluginError, match=r"gradaudit\.rules: 'XYZ901' is a str, not a Rule"):
            registry.rules()

    def test_a_rule_under_another_code_is_refused(self, install: object) -> None:
        install(XYZ901=replace(RULES[0], code="XYZ902"))
        with pytest.raises(PluginError, match="'XYZ901' holds the rule XYZ902"):
            registry.rules()

    def test_two_rules_of_one_name_are_refused(self, install: object) -> None:
        first = replace(RULES[0], code="XYZ901", name="house-rule")
        install(XYZ901=first, XYZ902=replace(first, code="XYZ902"))
        with pytest.raises(PluginError, match="XYZ901 and XYZ902 are both called 'house-rule'"):
            registry.rules()
