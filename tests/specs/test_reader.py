"""The reader: YAML 1.2 scalars, places, limits, and nothing but SpecError."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradaudit.errors import SpecError
from gradaudit.specs.loading import load_text
from gradaudit.specs.nodes import find, plain
from gradaudit.specs.reader import MAX_DEPTH, MAX_NODES, read
from gradaudit.specs.sources import MAX_BYTES


def value(text: str) -> object:
    """The value of one scalar."""
    return plain(read(f"key: {text}\n", "spec.yaml"))["key"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.0", 1.0),
        (".inf", math.inf),
        ("+.INF", math.inf),
        ("-.Inf", -math.inf),
        ("12", 12),
        ("-7", -7),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_a_scalar_of_the_core_schema_has_its_type(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_nan_is_a_number() -> None:
    found = value(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "text",
    [
        *"yn",
        "no",
        "yes",
        "on",
        "off",
        "1_000",
        "1:30",
        "2001-12-14",
        "inf",
        "nan",
        "-.nan",
        "0b11",
        "1e",
        "e5",
        "<<",
        "=",
    ],
)
def test_what_yaml_1_1_would_convert_stays_text(text: str) -> None:
    assert value(text) == text


def test_quotes_make_text() -> None:
    assert value("'1'") == "1"
    assert value('"true"') == "true"


def test_every_node_knows_its_place() -> None:
    root = read("version: 1\nlogits:\n- [0.1, 2]\n-  [3,\n   x]\n", "spec.yaml")
    assert str(find(root, ["logits"]).location) == "spec.yaml:3:1"
    assert str(find(root, ["logits"]).key_location) == "spec.yaml:2:1"
    assert str(find(root, ["logits", 0, 1]).location) == "spec.yaml:3:9"
    assert str(find(root, ["logits", 1, 1]).location) == "spec.yaml:5:4"


def test_columns_count_characters_not_bytes_and_a_byte_order_mark_is_none() -> None:
    root = read("\ufeff{é: 1, x: 2}".encode(), "spec.yaml")
    assert str(root.location) == "spec.yaml:1:1"
    assert str(find(root, ["x"]).key_location) == "spec.yaml:1:8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "spec.yaml:3:1: the key 'a' stands twice; the first is on line 1"),
        ("a: 1\n'a': 3\n", "spec.yaml:2:1: the key 'a' stands twice; the first is on line 1"),
        ("a: {b: 1, b: 2}", "spec.yaml:1:11: the key 'b' stands twice; the first is on line 1"),
        ("a: &x 1\nb: *x\n", "spec.yaml:1:4: anchors (&x) are not read; what cases share goes into defaults:"),
        ("b: *x\n", "spec.yaml:1:4: aliases (*x) are not read; write the value out"),
        ("a: !!float 1", "spec.yaml:1:4: tags (tag:yaml.org,2002:float) are not read; write the plain value"),
        (
            "!!python/object:os.system x",
            "spec.yaml:1:1: tags (tag:yaml.org,2002:python/object:os.system) are not read; ",
        ),
        ("--- 1\n--- 2\n", "spec.yaml:2:1: a second document begins here; one file is one spec, its list is cases:"),
        ("", "spec.yaml:1:1: the spec is empty; it begins with version: 1"),
        ("# nothing\n", "spec.yaml:1:1: the spec is empty"),
        ("a:\n\tb: 1\n", "spec.yaml:2:1: a tab stands here; YAML separates and indents with spaces"),
        ("a:\t1\n", "spec.yaml:1:3: a tab stands here"),
        (
            "a: b: c",
            "spec.yaml:1:5: not valid YAML: mapping values are not allowed here; a text with ': ' in it needs ",
        ),
        (
            "a: [1, 2",
            "spec.yaml:1:9: not valid YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow ",
        ),
        ("a: 'x", "spec.yaml:1:6: not valid YAML: found unexpected end of stream (while scanning a quoted scalar)"),
        ("a: 1\n b: 2\n", "spec.yaml:2:3: not valid YAML: mapping values are not allowed here"),
        ("a: x\x00y", "spec.yaml:1:5: the character U+0000 may not stand in a spec"),
        ("a: 1\nb: \x1b[31m", "spec.yaml:2:4: the character U+001B may not stand in a spec"),
        ("a: \u2028b", "spec.yaml:1:4: the character U+2028 may not stand in a spec"),
        ("a: [1, 1e400]", "spec.yaml:1:8: 1e400 lies beyond float64; infinity is written .inf"),
        ("a: " + "9" * 500, "spec.yaml:1:4: a number of 500 characters; 400 are enough"),
        ("a: 0x" + "f" * 500, "spec.yaml:1:4: a number of 502 characters; 400 are enough"),
        ('a: "\\ud800"', "spec.yaml:1:4: '\\ud800' holds half of a surrogate pair; no text can hold that"),
        ('a: "\\Uffffffff"', "spec.yaml:1:7: not valid YAML: an escape or a directive is out of range ("),
        ("? [1, 2]\n: 3\n", "spec.yaml:1:3: a key is a word here, not a list or a mapping"),
        ("[" * (MAX_DEPTH + 1), f"spec.yaml:1:{MAX_DEPTH + 1}: nested more than {MAX_DEPTH} levels deep"),
        ("- " * 100_000, f"spec.yaml:1:{2 * MAX_DEPTH + 1}: nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_what_is_no_spec_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        read(text, "spec.yaml")
    assert str(refused.value).startswith(message)


def test_bytes_that_are_not_utf_8_are_located() -> None:
    with pytest.raises(SpecError, match=r"^spec\.yaml:2:7: byte 0xff is not UTF-8; save the file as UTF-8 text$"):
        read("é: 1\nname: ".encode() + b"\xff", "spec.yaml")


def test_depth_up_to_the_limit_is_read() -> None:
    assert plain(read("[" * MAX_DEPTH + "]" * MAX_DEPTH, "spec.yaml"))


def test_a_text_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(
        SpecError, match=r"^spec\.yaml:1:1: the spec is larger than 1,048,576 bytes; put large arrays into"
    ):
        read(b"x" * (MAX_BYTES + 1), "spec.yaml")


@pytest.mark.slow
def test_too_many_values_are_refused_where_the_limit_is_passed() -> None:
    with pytest.raises(SpecError, match=r"^spec\.yaml:1:\d+: more than 100,000 values in one spec"):
        read("[" + "1," * MAX_NODES + "1]", "spec.yaml")


YAML_PIECES = st.sampled_from(
    [
        *("version: 1\n", "function: softmax\n", "logits: ", "[[0.1, 2]]", "targets: ", "cases:\n", "defaults:\n"),
        *(
            "- ",
            "? ",
            ": ",
            ", ",
            "[",
            "]",
            "{",
            "}",
            "&a ",
            "*a",
            "!!str ",
            "!",
            "%YAML 1.1\n",
            "---\n",
            "...\n",
            "| \n",
        ),
        *(
            "> \n",
            "'",
            '"',
            "\\",
            "\t",
            "\n",
            "  ",
            "#",
            "@",
            "`",
            "1e400",
            ".nan",
            "-.inf",
            "0x",
            "null",
            "random: ",
        ),
        *(
            "shape: ",
            "seed: -1",
            "file: ",
            "x.npy",
            "grid: ",
            "upstream: ",
            "values: ",
            "expect: ",
            "code: ",
            "\x07",
            "\ud7ff",
        ),
        *(
            "axis: ",
            "scale: ",
            "dtypes: ",
            "float32",
            "name: ",
            "weight: ",
            "<<: ",
            "~",
            "\r",
            "\x85",
            "\u2028",
            "\ufeff",
        ),
        *(
            "reduction: ",
            "masked_classes: ",
            "99999999999999999999999",
            "ignored: ",
            "kind: ",
            "probabilities",
            "\\U00110000",
        ),
    ]
)


@given(st.lists(YAML_PIECES, max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
@example('"\\Uffffffff"')
@example("%YAML " + "1" * 5000 + ".1\n--- 1")
@example("version: 1\nfunction: softmax\nlogits: [[" + "9" * 390 + "]]\n")
def test_any_text_is_read_or_refused(text: str) -> None:
    refused_or_read(text)


@given(st.text(alphabet=string.printable + "é\x00\x1b\ud800😀", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_characters_are_read_or_refused(text: str) -> None:
    refused_or_read(text)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    refused_or_read(text)


TOP_KEYS = ["name", "function", "logits", "targets", "axis", "upstream", "derivatives", "device", "autocast", "scale"]
OTHER_KEYS = ["dtypes", "backends", "formulations", "subjects", "probes", "expect", "ignore", "cases", "defaults"]
SOURCE_KEYS = [
    "random",
    "file",
    "key",
    "grid",
    "values",
    "shape",
    "seed",
    "distribution",
    "generator",
    "kind",
    "ignored",
]
INNER_KEYS = ["start", "stop", "count", "code", "backend", "reduction", "weight", "masked_classes", "ignore_index"]
KEYS = st.sampled_from(
    [*TOP_KEYS, *OTHER_KEYS, *SOURCE_KEYS, *INNER_KEYS, "version", "label_smoothing", "temperature"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.floats(),
    st.sampled_from(
        ["softmax", "cross_entropy", "ones", "per_output", "float32", "torch", "mean", "SAT201", "none", "x", ""]
    ),
    st.text(max_size=3),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, TREES, max_size=8))
@settings(max_examples=150, deadline=None)
def test_any_values_under_known_keys_make_a_case_or_are_refused(tree: dict[str, object]) -> None:
    import yaml

    refused_or_read(yaml.safe_dump({"version": 1, "function": "cross_entropy", "logits": [[1.0, 2.0]], **tree}))


def refused_or_read(text: str | bytes) -> None:
    refused = refusal(text)
    if refused is not None:
        assert str(refused).startswith("spec.yaml:")
        assert all(line.isprintable() for line in str(refused).split("\n"))
        assert refused.location.line is not None
        assert refused.location.column is not None


def refusal(text: str | bytes) -> SpecError | None:
    """The SpecError that reading ends with; any other exception goes through."""
    try:
        load_text(text, "spec.yaml", known_codes=["SAT201"])
    except SpecError as refused:
        return refused
    return None
