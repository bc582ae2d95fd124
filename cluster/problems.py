"""What is wrong in a file that a person wrote: where, why, and what was given.

A problem reads `mongo.shards[1].members: must be odd (got 2)`. The ones that pydantic finds are put
into the same words by `problems_of`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")
_USERINFO = re.compile(r"//[^/@]*@")
_SHOWN_CHARACTERS = 60
_REASON_CHARACTERS = 500  # some name what there is, and a file may have thousands
SHOWN_PROBLEMS = 25  # of a file, at once


class _Nothing:
    """No value is quoted: there is none, or it would not help."""


NOTHING = _Nothing()


class Raw(str):
    """Text that is quoted as it stands in the file."""

    __slots__ = ()


@dataclass(frozen=True)
class Problem:
    """A field, the reason why it cannot stand as it is, and its value.

    `line` is only needed where the path does not lead to it: a field that is given twice. `rule`
    names the rule between fields that is broken; it is empty where the field is wrong by itself.
    """

    path: Path
    reason: str
    value: object = NOTHING
    line: int | None = None
    rule: str = ""

    def __str__(self) -> str:
        got = "" if self.value is NOTHING else f" (got {shown(self.value)})"
        where = f"{dotted(self.path)}: " if self.path else ""
        return f"{where}{_cut(self.reason, _REASON_CHARACTERS)}{got}"


def dotted(path: Path) -> str:
    """`("mongo", "shards", 1, "members")` as `mongo.shards[1].members`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """A value as an error message quotes it: short, on one line, no password of a URL in it."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case float():
            return f"{value:g}"
        case str():
            return _quoted(value)
        case _:
            return str(value).lower()  # numbers; true and false as YAML has them


def _quoted(value: str) -> str:
    text = _USERINFO.sub("//***@", value)
    cut = _cut(text, _SHOWN_CHARACTERS)
    plain = isinstance(value, Raw) and cut.isprintable()
    return cut if plain else json.dumps(cut, ensure_ascii=not cut.isprintable())


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"


def told(name: str, lines: Iterable[tuple[int, str]]) -> str:
    """`file:line: reason`, a line for each of the first problems, in the file's order."""
    placed = sorted(lines)
    text = [f"{name}:{line}: {reason}" for line, reason in placed[:SHOWN_PROBLEMS]]
    more = len(placed) - SHOWN_PROBLEMS
    return "\n".join(text if more <= 0 else [*text, f"{name}: and {more} more errors"])


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean "shards"?)`, or nothing where no known name comes near."""
    near = get_close_matches(name, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def problems_of(
    error: ValidationError, model: type[BaseModel], data: object, patterns: Mapping[str, str]
) -> list[Problem]:
    """The problems that pydantic found while it read `data` into `model`, one a field.

    `patterns` puts the regular expressions of the model into words.
    """
    found: dict[Path, list[Problem]] = {}
    for detail in error.errors(include_url=False):
        path = _path_in(data, detail)
        found.setdefault(path, []).append(_problem(detail, path, model, data, patterns))
    # pydantic counts valid entries only: a list is not too short because one of them is wrong.
    around = {path[:length] for path in found for length in range(len(path))}
    return [
        _united(problems)
        for path, problems in found.items()
        if not (_counts_entries(problems) and path in around)
    ]


def _path_in(data: object, detail: ErrorDetails) -> Path:
    """The path in the file: pydantic's also names the alternatives of unions that it tried."""
    path: list[str | int] = []
    node = data
    for part in detail["loc"]:
        match node, part:
            case dict(), str() if part in node:
                node = node[part]
            case list(), int():
                node = node[part]
            case _:
                continue
        path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    elif detail["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        path.append(detail["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _united(problems: Sequence[Problem]) -> Problem:
    """The alternatives of a union in one sentence: `must be "majority" or a whole number`."""
    first, *others = dict.fromkeys(problem.reason for problem in problems)
    *some, last = [first, *(other.removeprefix("must be ") for other in others)]
    return replace(problems[0], reason=f"{', '.join(some)} or {last}" if some else last)


def _counts_entries(problems: Sequence[Problem]) -> bool:
    return problems[0].reason.endswith(_OR_MORE)


def _problem(
    detail: ErrorDetails,
    path: Path,
    model: type[BaseModel],
    data: object,
    patterns: Mapping[str, str],
) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(path[:-1], model, data)
        return Problem(path, f"unknown field{suggestion(str(path[-1]), known)}")
    if kind == "string_type" and isinstance(detail["input"], bool | int | float):
        reason = "must be text: put it in quotes"
    elif kind == "string_pattern_mismatch":
        reason = f"must be {patterns.get(context['pattern'], context['pattern'])}"
    else:
        reason = _REASONS[kind].format(**context) if kind in _REASONS else detail["msg"]
    value = NOTHING if kind in _UNQUOTED else context.get("tag", detail["input"])
    return Problem(path, reason.replace("'", '"'), value)


_OR_MORE = "or more entries"
_REASONS = {
    "missing": "is required",
    "union_tag_not_found": "is required",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "too_short": f"must have {{min_length}} {_OR_MORE}",
    "too_long": "must have {max_length} entries or fewer",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
}
_UNQUOTED = {"missing", "union_tag_not_found", "too_short", "too_long"}


def _fields_at(path: Path, model: type[BaseModel], data: object) -> list[str]:
    """The fields that may stand at `path`, for a suggestion."""
    models, node = [model], data
    for part in path:
        match node, part:
            case dict(), str():
                fields = [field for found in models if (field := _field(found, part))]
                inner = (one for field in fields for one in _models_in(field.annotation))
                models = list(dict.fromkeys(inner))  # alternatives may share one
                node = node[part]
            case list(), int():
                node = node[part]
    if len(models) > 1 and isinstance(node, dict):
        models = [found for found in models if _is_tagged(found, node)]
    return [field.alias or name for one in models for name, field in one.model_fields.items()]


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    """The field that a file calls so."""
    by_alias = (field for field in model.model_fields.values() if field.alias == name)
    return model.model_fields.get(name) or next(by_alias, None)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in `tuple[A, ...]`, `A | None`, `Annotated[A | B, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _is_tagged(model: type[BaseModel], node: Mapping[str, object]) -> bool:
    """Whether this alternative of a union is the one meant: told apart by a required literal."""
    return any(
        get_origin(field.annotation) is Literal
        and field.is_required()
        and node.get(name) in get_args(field.annotation)
        for name, field in model.model_fields.items()
    )
