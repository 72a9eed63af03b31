"""The format of a spec, version 1, as pydantic models: shapes of keys and values, not yet what fits together.

The models know nothing of places in a file; `translate` turns their errors into messages with places. The JSON
Schema for editors comes from the same models (`schema`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    create_model,
)

from gradaudit.functions import formula, registry, stand_in
from gradaudit.functions.interface import Parameter
from gradaudit.records.case import FORMULA, SELF
from gradaudit.records.evaluation import EAGER, EXECUTIONS
from gradaudit.specs import backend_types, probes
from gradaudit.specs.shapes import MAX_RANK
from gradaudit.specs.spellings import CODE_PATTERN, CodeOrMapping, NameOrMapping, OneOrMore, printable

MAX_EXTENT = 2**40
"""Elements along one axis: beyond any memory, and far from overflowing a product of MAX_RANK of them in Python."""
MAX_SEED = 2**63 - 1

DEVICE_PATTERN = "^(cpu|mps|cuda(:[0-9]{1,3})?)$"
FRAMEWORKS = ("torch", "numpy", "onnx", "jax", "tensorflow")
"""What users' own functions may be written in; onnx stands for a file."""

SOURCE = "source"
"""Error type of an array source that is none of the known kinds."""


Number = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), BeforeValidator(printable)]
Numbers = Annotated[list[Number], Field(min_length=1, json_schema_extra={"uniqueItems": True}), OneOrMore()]
Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]

NESTED_NUMBERS: dict[str, object] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/NestedNumbers"}]},
    "title": "Numbers",
    "description": "Nested lists of numbers, all of one length along each axis.",
}


class Strict(BaseModel):
    """No unknown keys, no conversions from text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RandomLogits(Strict):
    """Logits drawn from a distribution."""

    shape: Annotated[list[Extent], Field(min_length=1, max_length=MAX_RANK), OneOrMore()]
    distribution: Literal["normal", "uniform"] = "normal"
    scale: Number = Field(1.0, description="The draws are multiplied by it.")
    seed: Seed | None = Field(None, description="Absent: the seed of the run.")
    generator: Literal["numpy", "torch"] = Field(
        "numpy",
        description="numpy.random.default_rng(seed), or torch.manual_seed(seed) with torch.rand or torch.randn.",
    )


class RandomTargets(Strict):
    """Targets drawn uniformly over the classes that take part."""

    kind: Literal["indices", "probabilities"] = "indices"
    seed: Seed | None = Field(None, description="Absent: the seed of the run.")
    ignored: Annotated[int, Field(ge=0)] = Field(0, description="Rows, spread evenly, with ignore_index as label.")


class RandomUpstream(Strict):
    """A standard normal upstream gradient."""

    seed: Seed | None = Field(None, description="Absent: the seed of the run.")
    generator: Literal["numpy", "torch"] = "numpy"


class FileValues(Strict):
    """An array in a file, relative to the spec."""

    file: Annotated[Text, Field(description="NAME.npy, NAME.npz, or NAME.npz:key")]
    key: Text | None = Field(None, description="Which array of an .npz file.")


class GridAxis(Strict):
    """Evenly spaced numbers, both ends included."""

    start: Number
    stop: Number
    count: Annotated[int, Field(ge=1, le=MAX_EXTENT)]


class GridValues(Strict):
    """One row of two logits for each point of a field."""

    grid: Annotated[list[GridAxis], Field(min_length=2, max_length=2)]


class DrawnLogits(Strict):
    """Logits by a random generator."""

    random: RandomLogits


class DrawnTargets(Strict):
    """Targets by a random generator."""

    random: RandomTargets


class DrawnUpstream(Strict):
    """Upstream gradient by a random generator."""

    random: RandomUpstream


Inline = Annotated[list[Any], WithJsonSchema({"$ref": "#/$defs/NestedNumbers"})]


class GivenUpstream(Strict):
    """Upstream gradient in full, or broadcast to the shape of the output."""

    values: Annotated[
        Inline | Number, WithJsonSchema({"anyOf": [{"type": "number"}, {"$ref": "#/$defs/NestedNumbers"}]})
    ]


def _by_kind(*kinds: str) -> Discriminator:
    """Which kind of source a value is: "list", "number", "word", or the key of a mapping."""

    def kind_of(value: object) -> str | None:
        if isinstance(value, dict):
            kind = next((key for key in value if key in kinds), "")
        elif isinstance(value, list):
            kind = "list"
        elif isinstance(value, str):
            kind = "word"
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            kind = "number"
        else:
            kind = ""
        return f"<{kind}>" if kind in kinds else None

    return Discriminator(kind_of, custom_error_type=SOURCE, custom_error_message="no known kind of source")


Logits = Annotated[
    Annotated[Inline, Tag("<list>")]
    | Annotated[DrawnLogits, Tag("<random>")]
    | Annotated[FileValues, Tag("<file>")]
    | Annotated[GridValues, Tag("<grid>")],
    _by_kind("list", "random", "file", "grid"),
]
Targets = Annotated[
    Annotated[Inline, Tag("<list>")]
    | Annotated[int, Tag("<number>")]
    | Annotated[DrawnTargets, Tag("<random>")]
    | Annotated[FileValues, Tag("<file>")],
    _by_kind("list", "number", "random", "file"),
]
UpstreamChoice = Annotated[
    Annotated[Literal["ones", "random", "per_output"], Tag("<word>")]
    | Annotated[GivenUpstream, Tag("<values>")]
    | Annotated[DrawnUpstream, Tag("<random>")],
    _by_kind("word", "values", "random"),
]
Dtype = Literal["float16", "bfloat16", "float32", "float64"]
Formulation = Literal["fused", "log_softmax", "unfused", "unshifted"]
Execution = Literal[EXECUTIONS]  # type: ignore[valid-type]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
_PROBE_LIST: dict[str, Any] = {
    "uniqueItems": True,
    "anyOf": [{"maxItems": 1}, {"not": {"contains": {"const": "none"}}}],
}
ProbeName = Literal[("none", "standard", *probes.KNOWN)]  # type: ignore[valid-type]
Code = Annotated[str, StringConstraints(pattern=CODE_PATTERN)]
CodePrefix = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}$|^[A-Z]{3}[0-9]{1,3}$")]


class ExpectedFinding(Strict):
    """A finding that must occur; a selector that is absent matches anything."""

    code: Code
    backend: Text | None = None
    formulation: Name | None = None
    dtype: Dtype | None = None
    scale: Number | None = None
    subject: Text | None = None


class ClaimedProfile(Strict):
    """The arithmetic that an author claims."""

    compute: Dtype | None = Field(None, description="Format of the operations inside a kernel.")
    accumulate: Dtype | None = Field(None, description="Format of the sums.")
    storage: Dtype | None = Field(None, description="Format of the arrays between kernels.")
    formulation: Formulation | None = Field(None, description="The algorithm.")


class SubjectKeys(Strict):
    """A function of the user's own: MODULE:NAME or PATH.py:NAME, relative to the spec or to the working directory."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [framework]} for framework in FRAMEWORKS]})

    torch: Text | None = Field(None, description="f(logits, targets), a class of such objects, or autograd.Function.")
    numpy: Text | None = Field(None, description="f(logits, targets, upstream) that returns (loss, gradient).")
    jax: Text | None = Field(None, description="f(logits, targets), also by custom_vjp, or a class of such objects.")
    tensorflow: Text | None = Field(None, description="f(logits, targets), a class of such objects, or a Keras loss.")
    onnx: Text | None = Field(None, description="PATH.onnx, run by ONNX Runtime.")
    name: Text | None = Field(None, description="Absent: the name of the function.")
    kwargs: dict[str, Any] = Field({}, description="A class is constructed with them, a function gets them bound.")
    factory: bool = Field(False, description="It is called with kwargs first, and returns the one to audit.")
    input: Literal["logits", "probabilities", "log_probabilities"] = "logits"
    targets: Literal["as_given", "one_hot"] = Field("as_given", description="one_hot: class indices as one-hot rows.")
    profile: ClaimedProfile | None = None
    autocast: Literal["bfloat16", "float16"] | None = Field(None, description="Absent: that of the case.")
    inputs: dict[Literal["logits", "targets", "weight", "upstream"], Text] = Field(
        {}, description="The names of an ONNX file's inputs. Absent: found by name, type and shape."
    )
    output: Text | None = Field(None, description="The output of an ONNX file that is its result.")
    gradient: Text | None = Field(None, description="That which is its own gradient of the logits, or none.")
    external_data: bool = Field(False, description="An ONNX file may read files below its own folder.")


def _unique() -> Any:
    return Field(min_length=1, json_schema_extra={"uniqueItems": True})


class CaseKeys(Strict):
    """One case.

    Every key may be absent here, since `defaults:` may hold it; `build` asks for what is missing. `case_model`
    replaces `function` and `backends` by what is installed.
    """

    name: Text | None = None
    semantics: Any = None
    function: Any = None
    logits: Logits | None = None
    targets: Targets | None = None
    axis: Annotated[list[int], _unique(), OneOrMore()] = Field(
        [-1], description="The class axis, or axes that are flattened together."
    )
    upstream: UpstreamChoice = Field("ones", description="The cotangent fed to backward.")
    derivatives: Literal[1, 2] = Field(1, description="2 audits the second order of torch subjects too.")
    device: Annotated[str, StringConstraints(pattern=DEVICE_PATTERN)] = Field(
        "cpu", description="cpu, cuda, cuda:1, mps"
    )
    autocast: Literal["bfloat16", "float16"] | None = Field(None, description="Torch subjects run under it.")
    scale: Numbers = Field([1.0], description="Multiplies the logits; one evaluation each.")
    dtypes: Annotated[list[Dtype], _unique(), OneOrMore()] = ["float32"]
    backends: list[str] | None = None
    python: Annotated[dict[str, Text], backend_types.MERGED] = Field(
        {}, description="The interpreter, or environment, that has a backend: {mxnet: /path/to/python}."
    )
    formulations: Annotated[list[Name], _unique(), OneOrMore()] = Field(
        ["fused"], description="fused, log_softmax, unfused, unshifted, or one that a backend alone has."
    )
    execution: Annotated[list[Execution], _unique(), OneOrMore()] = Field(
        [EAGER], description="How backends run a function; each does what it offers of these."
    )
    subjects: Annotated[list[SubjectKeys], Field(min_length=1), OneOrMore()] = Field(
        [], description="Functions of your own."
    )
    probes: Annotated[list[ProbeName], Field(json_schema_extra=_PROBE_LIST), OneOrMore()] | None = Field(
        None, description="Inputs that are added for subjects. Absent: standard where there are any, else none."
    )
    expect: Annotated[list[Annotated[ExpectedFinding, CodeOrMapping()]], OneOrMore()] = Field(
        [], description="Findings that must occur."
    )
    ignore: Annotated[list[CodePrefix], OneOrMore()] = Field([], description="Codes, or their beginnings.")


def _parameter_field(parameter: Parameter) -> tuple[Any, Any]:
    """Type and field of a function's parameter."""
    bounds = {"ge": parameter.minimum, "gt": parameter.exclusive_minimum, "le": parameter.maximum}
    limits = Field(**{name: bound for name, bound in bounds.items() if bound is not None})  # type: ignore[call-overload]
    integer, number = Annotated[int, limits], Annotated[Number, limits]
    types: dict[str, Callable[[], Any]] = {
        "bool": lambda: bool,
        "int": lambda: integer,
        "float": lambda: number,
        "choice": lambda: Literal[parameter.choices],
        "ints": lambda: Annotated[list[integer], OneOrMore()],  # type: ignore[valid-type]
        "floats": lambda: Annotated[list[number], OneOrMore()],  # type: ignore[valid-type]
    }
    annotation = types[parameter.kind]()
    if parameter.default is None:
        annotation = annotation | None
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    return annotation, Field(default, description=parameter.doc)


def _function_model(name: str, semantics: str | None) -> type[Strict]:
    function = registry.get(name if semantics is None else f"{semantics}.{name}")
    fields: dict[str, Any] = {parameter.name: _parameter_field(parameter) for parameter in function.parameters}
    return create_model(
        function.name.replace(".", "_"),
        __base__=Strict,
        __doc__=function.summary,
        **{"name": (Literal[name], ...), **fields},
    )


def _formula_model() -> type[Strict]:
    fields: dict[str, Any] = {parameter.name: _parameter_field(parameter) for parameter in formula.PARAMETERS}
    text = "An expression over z, y, q and constants, or MODULE:NAME or PATH.py:NAME of a Python function."
    fields["formula"] = (
        Annotated[str, StringConstraints(min_length=1), BeforeValidator(printable)],
        Field(description=text),
    )
    fields["constants"] = (dict[str, Any], Field({}, description="Names for numbers, or for one number per class."))
    return create_model(
        FORMULA,
        __base__=Strict,
        __doc__="Mathematics of your own.",
        **{"name": (Literal["formula"], "formula"), **fields},
    )


def _self_model() -> type[Strict]:
    fields: dict[str, Any] = {parameter.name: _parameter_field(parameter) for parameter in stand_in.PARAMETERS}
    shape = "Absent: a loss where there are targets."
    fields["output"] = (Literal[stand_in.OUTPUTS] | None, Field(None, description=shape))
    return create_model(
        SELF,
        __base__=Strict,
        __doc__="No truth at hand: the gradient is audited against the subject's own forward.",
        **{"name": (Literal["self"], ...), **fields},
    )


def case_name(semantics: str | None) -> str:
    """What the model of a case is called, and its part of the JSON Schema."""
    return "Case" if semantics is None else f"{semantics}_case"


@cache
def case_model(backends: tuple[str, ...], semantics: str | None = None) -> type[CaseKeys]:
    """The model of a case, with the functions that are installed and the names of the backends that are.

    With `semantics` the functions are that framework's operators.
    """
    functions = [_function_model(name, semantics) for name in registry.names(semantics)]
    functions += [_formula_model(), _self_model()] if semantics is None else []
    union: Any = Union[tuple(functions)]  # noqa: UP007
    union = Annotated[union, Field(discriminator="name"), NameOrMapping(semantics)]
    frameworks: Any = Literal[registry.semantics()]
    backend: Any = Annotated[backend_types.of_backends(backends)]
    return create_model(
        case_name(semantics),
        __base__=CaseKeys,
        __doc__="One case, or what cases have in common.",
        semantics=(
            frameworks | None,
            Field(None, description="Whose operators `function` names. Absent: gradaudit's own functions."),
        ),
        function=(union | None, Field(None, description="The true mathematics, by name and parameters.")),
        backends=(
            Annotated[list[backend], _unique(), OneOrMore()] | None,
            Field(None, description="Absent: numpy, torch and onnxruntime; none where there are subjects."),
        ),
    )
