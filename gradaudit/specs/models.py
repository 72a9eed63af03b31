"""The format of a spec, version 1, as pydantic models: shapes of keys and values, not yet what fits together.

The models know nothing of places in a file; `translate` turns their errors into messages with places. The JSON
Schema for editors comes from the same models (`schema`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from gradaudit.functions import formula, registry, stand_in
from gradaudit.functions.interface import Parameter
from gradaudit.records.case import FORMULA, SELF
from gradaudit.records.evaluation import EAGER, EXECUTIONS
from gradaudit.specs import backend_types, probes
from gradaudit.specs.array_models import Logits, Number, Strict, Targets, Text, UpstreamChoice
from gradaudit.specs.spellings import CODE_PATTERN, CodeOrMapping, NameOrMapping, OneOrMore, printable

DEVICE_PATTERN = "^(cpu|mps|cuda(:[0-9]{1,3})?)$"
FRAMEWORKS = ("torch", "numpy", "onnx", "jax", "tensorflow")
"""What users' own functions may be written in; onnx stands for a file."""


Numbers = Annotated[list[Number], Field(min_length=1, json_schema_extra={"uniqueItems": True}), OneOrMore()]


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

    code: Code = Field(description="The code of the rule, in full.")
    backend: Text | None = Field(None, description="Of this backend.")
    formulation: Name | None = Field(None, description="Of this formulation.")
    dtype: Dtype | None = Field(None, description="In this dtype.")
    scale: Number | None = Field(None, description="At this scale of the logits.")
    subject: Text | None = Field(None, description="Of the subject of this name.")


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
    input: Literal["logits", "probabilities", "log_probabilities"] = Field(
        "logits",
        description="What it is fed, made of the logits, and differentiated by; rounded, and exact from there.",
    )
    targets: Literal["as_given", "one_hot"] = Field("as_given", description="one_hot: class indices as one-hot rows.")
    profile: ClaimedProfile | None = Field(
        None, description="What its author claims, to which it is held. Absent: it computes in the dtype."
    )
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

    name: Text | None = Field(None, description="What reports call the case. Absent: the name of the function.")
    semantics: Any = None
    function: Any = None
    logits: Logits | None = Field(
        None,
        description="What the function is evaluated at: in full, drawn, from a file, or a grid. One list is one row.",
    )
    targets: Targets | None = Field(
        None,
        description="Class indices (the shape of the logits without the class axis) or probabilities (their shape).",
    )
    axis: Annotated[list[int], _unique(), OneOrMore()] = Field(
        [-1], description="The class axis, or axes that are flattened together."
    )
    upstream: UpstreamChoice = Field(
        "ones", description="The gradient fed to backward; per_output: one backward for each output, the Jacobian."
    )
    derivatives: Literal[1, 2] = Field(1, description="2 audits the second order of subjects too.")
    device: Annotated[str, StringConstraints(pattern=DEVICE_PATTERN)] = Field(
        "cpu", description="Where backends compute: cpu, cuda, cuda:1, mps. One that has no such device is missing."
    )
    autocast: Literal["bfloat16", "float16"] | None = Field(None, description="Torch subjects run under it.")
    scale: Numbers = Field([1.0], description="Multiplies the logits; one evaluation each.")
    dtypes: Annotated[list[Dtype], _unique(), OneOrMore()] = Field(
        ["float32"], description="The logits are rounded to each, and evaluated there."
    )
    backends: list[str] | None = None
    python: Annotated[dict[str, Text], backend_types.MERGED] = Field(
        {}, description="The interpreter, or environment, that has a backend: {mxnet: /path/to/python}."
    )
    formulations: Annotated[list[Name], _unique(), OneOrMore()] = Field(
        ["fused"], description="fused, log_softmax, unfused, unshifted, or one that a backend alone has."
    )
    execution: Annotated[list[Execution], _unique(), OneOrMore()] = Field(
        [EAGER], description="How frameworks run a function, or one of your own; each does what it offers of these."
    )
    subjects: Annotated[list[SubjectKeys], Field(min_length=1), OneOrMore()] = Field(
        [], description="Functions of your own."
    )
    probes: Annotated[list[ProbeName], Field(json_schema_extra=_PROBE_LIST), OneOrMore()] | None = Field(
        None, description="Inputs that are added for subjects. Absent: standard where there are any, else none."
    )
    expect: Annotated[list[Annotated[ExpectedFinding, CodeOrMapping()]], OneOrMore()] = Field(
        [],
        description="Findings that must occur: codes, wherever in the case, or mappings. Other errors fail it.",
    )
    ignore: Annotated[list[CodePrefix], OneOrMore()] = Field(
        [], description="Codes, or their beginnings, that are not reported."
    )


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
