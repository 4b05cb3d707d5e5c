"""What the service takes and gives, as its OpenAPI description shows it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StrictStr,
    create_model,
    model_validator,
)

from helpers.tasks.base import Task


class Extract(BaseModel):
    """One text, or several."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "Lunch with Ana on 3 May 2026 at noon"}],
            "oneOf": [{"required": ["text"]}, {"required": ["texts"]}],
        },
    )
    text: StrictStr = Field(default=None, description="One text.")
    texts: Annotated[list[StrictStr], FailFast()] = Field(
        default=None, description="Several texts.", min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, body: Any) -> Any:
        """One error, not one for each of a hundred thousand keys."""
        if isinstance(body, dict) and len(body) > 2:
            raise ValueError("give either text or texts")
        return body

    @model_validator(mode="after")
    def _one_of_both(self) -> Extract:
        if len(self.model_fields_set) != 1:
            raise ValueError("give either text or texts")
        return self


class Span(BaseModel):
    """A piece of the text as it was sent, in characters (Unicode code points), `end` not included."""

    start: int
    end: int
    text: str


class Model(BaseModel):
    """Which model has answered."""

    name: str
    version: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class Health(BaseModel):
    """Whether the service can answer."""

    status: str
    model: Model
    waiting: int


class Schema(BaseModel):
    """What the service looks for, and its limits."""

    task: str
    title: str
    description: str
    fields: dict[str, Any] = Field(description="JSON Schema of `fields` in a result.")
    verbatim: list[str] = Field(description="Fields whose values are pieces of the text.")
    limits: dict[str, float]
    examples: list[str]
    model: Model


def answer_model(task: Task) -> type[BaseModel]:
    """Results in the order of the texts, each with the fields of the task."""
    value = {name: (list[kind.item] if kind.many else kind.item) | None for name, kind in task.kinds.items()}
    spans = Field(description="Where the values stand; nothing where they do not.")
    confidence = Field(description="Probability of each value, null if unknown.")
    review = Field(description="Fields that a person should look at.")
    result = create_model(
        "Result",
        fields=_model_of("Fields", task.rows.nested(value)),
        spans=(dict[str, list[Span]], spans),
        confidence=(dict[str, float | None], confidence),
        needs_review=(list[str], review),
        reasons=(dict[str, str], Field(description="Why, where it is more than a low confidence.")),
    )
    return create_model("Answer", results=list[result], model=Model, milliseconds=float)


def _model_of(name: str, types: dict[str, Any]) -> type[BaseModel]:
    """A model of named types; of an object in it, which may be null, the types of its fields."""
    parts = {key: _model_of(key, one) | None if isinstance(one, dict) else one for key, one in types.items()}
    return create_model(name, **{key: (one, ...) for key, one in parts.items()})
