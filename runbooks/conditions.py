"""The language of conditions: `role == "shard" and serving < majority`, over a fact's fields.

A small part of Python's expressions: and, or, not, comparisons, `in`, `is None`; names are fields
of the fact or `arg.NAME`. Names and types are checked when a page is loaded. A field that could not
be read is None, and a comparison with it is *unknown* (None), neither true nor false: what nobody
could see makes no finding, and neither does its opposite (Kleene's three-valued logic).
"""

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cluster.problems import suggestion

MAX_LENGTH = 400
Value = bool | int | float | str | None
Truth = bool | None
NUMBER, TEXT, TRUTH, NOTHING = "number", "text", "true or false", "nothing"


class ConditionError(ValueError):
    """A condition that cannot be understood, in words that follow the name of its field."""


@dataclass(frozen=True)
class Condition:
    """A condition whose names and types are right."""

    text: str
    tree: ast.expr

    def holds(self, fact: Mapping[str, Value], arguments: Mapping[str, str]) -> Truth:
        """Whether it does; None where that depends on something that could not be read."""
        return _truth(self.tree, fact, arguments)


def parse(text: str, fields: Mapping[str, str], arguments: Collection[str] = ()) -> Condition:
    """The condition. `fields` are the kinds (NUMBER, TEXT, TRUTH) of the fact's fields by name.

    Raises ConditionError.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"must have at most {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deep"
        raise ConditionError(f"is no condition: {reason}") from None
    kind = _Checker(fields, arguments).kind(tree)
    if kind != TRUTH:
        raise ConditionError(f"must be something that is true or false, not a {kind}")
    return Condition(text, tree)


class _Checker:
    """Finds the kind of each part; refuses what is not in the language."""

    def __init__(self, fields: Mapping[str, str], arguments: Collection[str]) -> None:
        self._fields, self._arguments = fields, arguments

    def kind(self, node: ast.expr) -> str:
        """The kind of an expression. Raises ConditionError."""
        match node:
            case ast.BoolOp(values=values):
                return self._all_truths(values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._all_truths([operand])
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                self._comparison(left, op, right)
                return TRUTH
            case ast.Compare():
                raise ConditionError("compares more than two things: write `a < b and b < c`")
            case ast.Name(id=name):
                return self._field(name)
            case ast.Attribute(value=ast.Name(id="arg"), attr=name):
                return self._argument(name)
            case ast.Constant(value=value):
                return _kind_of(value)
        raise ConditionError(f"has what conditions cannot say: `{_shown(node)}`")

    def _all_truths(self, nodes: list[ast.expr]) -> str:
        for node in nodes:
            if self.kind(node) != TRUTH:
                raise ConditionError(f"`{_shown(node)}` is not true or false")
        return TRUTH

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> None:
        first = self.kind(left)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List) or not right.elts:
                raise ConditionError("`in` wants a list: `state in ('DOWN', 'UNKNOWN')`")
            kinds = {self.kind(each) for each in right.elts}
        else:
            kinds = {self.kind(right)}
        if isinstance(op, ast.Is | ast.IsNot):
            if kinds != {NOTHING}:
                raise ConditionError("`is` is for None alone: write `==`")
        elif NOTHING in kinds | {first}:
            raise ConditionError("None is asked for with `is None`")
        elif kinds != {first}:
            others = ", ".join(sorted(kinds))
            raise ConditionError(f"`{_shown(left)}` is a {first}, compared with a {others}")
        elif isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and first != NUMBER:
            raise ConditionError(f"`{_shown(left)}` is a {first}: it has no order")

    def _field(self, name: str) -> str:
        if name not in self._fields:
            raise ConditionError(f'unknown fact "{name}"{suggestion(name, self._fields)}')
        return self._fields[name]

    def _argument(self, name: str) -> str:
        if name not in self._arguments:
            raise ConditionError(f'unknown argument "{name}"{suggestion(name, self._arguments)}')
        return TEXT


def _kind_of(value: object) -> str:
    match value:
        case bool():
            return TRUTH
        case int() | float():
            return NUMBER
        case str():
            return TEXT
        case None:
            return NOTHING
    raise ConditionError(f"has what conditions cannot say: `{value!r:.40}`")


def _shown(node: ast.expr) -> str:
    return ast.unparse(node)[:60]


def _truth(node: ast.expr, fact: Mapping[str, Value], arguments: Mapping[str, str]) -> Truth:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return _every([_truth(each, fact, arguments) for each in values])
        case ast.BoolOp(values=values):
            return _negated(_every([_negated(_truth(one, fact, arguments)) for one in values]))
        case ast.UnaryOp(operand=operand):
            return _negated(_truth(operand, fact, arguments))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _compared(left, op, right, fact, arguments)
    value = _value(node, fact, arguments)
    return value if isinstance(value, bool) else None


def _every(truths: list[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def _negated(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _compared(
    left: ast.expr,
    op: ast.cmpop,
    right: ast.expr,
    fact: Mapping[str, Value],
    arguments: Mapping[str, str],
) -> Truth:
    first = _read(left, fact, arguments)
    if isinstance(op, ast.Is | ast.IsNot):
        return (first is None) == isinstance(op, ast.Is)
    if isinstance(right, ast.Tuple | ast.List):
        second = [_read(each, fact, arguments) for each in right.elts]
        if first is None or None in second:
            return None
        return (first in second) == isinstance(op, ast.In)
    other = _read(right, fact, arguments)
    if first is None or other is None:
        return None
    return _ordered(first, op, other)


def _ordered(first: Value, op: ast.cmpop, second: Value) -> bool:
    match op:
        case ast.Eq():
            return first == second
        case ast.NotEq():
            return first != second
    assert isinstance(first, int | float)  # noqa: S101 - checked when the page was loaded
    assert isinstance(second, int | float)  # noqa: S101
    match op:
        case ast.Lt():
            return first < second
        case ast.LtE():
            return first <= second
        case ast.Gt():
            return first > second
    return first >= second


def _read(node: ast.expr, fact: Mapping[str, Value], arguments: Mapping[str, str]) -> Value:
    """A part of a comparison, which may be a condition itself."""
    if isinstance(node, ast.BoolOp | ast.UnaryOp | ast.Compare):
        return _truth(node, fact, arguments)
    return _value(node, fact, arguments)


def _value(node: ast.expr, fact: Mapping[str, Value], arguments: Mapping[str, str]) -> Value:
    match node:
        case ast.Name(id=name):
            return fact.get(name)
        case ast.Attribute(attr=name):
            return arguments.get(name)
        case ast.Constant(value=value) if isinstance(value, bool | int | float | str):
            return value
    return None
