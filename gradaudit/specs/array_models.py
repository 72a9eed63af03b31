"""What arrays a spec may give, and how, as pydantic models: in full, drawn, from a file, or as a grid."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
)

from gradaudit.specs.shapes import MAX_RANK
from gradaudit.specs.spellings import OneOrMore, printable

MAX_EXTENT = 2**40
"""Elements along one axis: beyond any memory, and far from overflowing a product of MAX_RANK of them in Python."""
MAX_SEED = 2**63 - 1

SOURCE = "source"
"""Error type of an array source that is none of the known kinds."""


Number = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), BeforeValidator(printable)]
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

    shape: Annotated[list[Extent], Field(min_length=1, max_length=MAX_RANK), OneOrMore()] = Field(
        description="Elements along each axis, e.g. [128, 256]."
    )
    distribution: Literal["normal", "uniform"] = Field(
        "normal", description="Standard normal, or uniform from 0 to 1."
    )
    scale: Number = Field(1.0, description="The draws are multiplied by it.")
    seed: Seed | None = Field(None, description="Absent: the seed of the run.")
    generator: Literal["numpy", "torch"] = Field(
        "numpy",
        description="numpy.random.default_rng(seed), or torch.manual_seed(seed) with torch.rand or torch.randn.",
    )


class RandomTargets(Strict):
    """Targets drawn uniformly over the classes that take part."""

    kind: Literal["indices", "probabilities"] = Field(
        "indices", description="Labels, or a row of probabilities that add up to 1 for each row of logits."
    )
    seed: Seed | None = Field(None, description="Absent: the seed of the run.")
    ignored: Annotated[int, Field(ge=0)] = Field(0, description="Rows, spread evenly, with ignore_index as label.")


class RandomUpstream(Strict):
    """A standard normal upstream gradient."""

    seed: Seed | None = Field(None, description="Absent: the seed of the run.")
    generator: Literal["numpy", "torch"] = Field("numpy", description="As for logits.")


class FileValues(Strict):
    """An array in a file, relative to the spec."""

    file: Annotated[Text, Field(description="NAME.npy, NAME.npz, or NAME.npz:key")]
    key: Text | None = Field(None, description="Which array of an .npz file.")


class GridAxis(Strict):
    """Evenly spaced numbers, both ends included."""

    start: Number = Field(description="The first one.")
    stop: Number = Field(description="The last one.")
    count: Annotated[int, Field(ge=1, le=MAX_EXTENT)] = Field(description="How many there are.")


class GridValues(Strict):
    """One row of two logits for each point of a field."""

    grid: Annotated[list[GridAxis], Field(min_length=2, max_length=2)] = Field(
        description="The axis of the first logit, and that of the second."
    )


class DrawnLogits(Strict):
    """Logits by a random generator."""

    random: RandomLogits = Field(description="How they are drawn.")


class DrawnTargets(Strict):
    """Targets by a random generator."""

    random: RandomTargets = Field(description="How they are drawn.")


class DrawnUpstream(Strict):
    """Upstream gradient by a random generator."""

    random: RandomUpstream = Field(description="How it is drawn.")


Inline = Annotated[list[Any], WithJsonSchema({"$ref": "#/$defs/NestedNumbers"})]


class GivenUpstream(Strict):
    """Upstream gradient in full, or broadcast to the shape of the output."""

    values: Annotated[
        Inline | Number, WithJsonSchema({"anyOf": [{"type": "number"}, {"$ref": "#/$defs/NestedNumbers"}]})
    ] = Field(description="One number for all outputs, or lists in the shape of the output, or of its last axes.")


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
