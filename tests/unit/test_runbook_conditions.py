"""The language of conditions: names and types at load time, three truths at run time."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.conditions import NUMBER, TEXT, TRUTH, ConditionError, parse

FIELDS = {"serving": NUMBER, "majority": NUMBER, "role": TEXT, "locked": TRUTH}
FACT = {"serving": 1, "majority": 2, "role": "shard", "locked": None}


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("serving < majority", True),
        ("serving >= majority", False),
        ('role == "shard" and serving < majority', True),
        ("role in ('config', 'shard')", True),
        ("role not in ('config', 'shard')", False),
        ("role == arg.role", True),
        ("locked", None),
        ("not locked", None),
        ("locked is None", True),
        ("serving is not None", True),
        ("locked and serving > majority", False),
        ("locked or serving < majority", True),
        ("locked and serving < majority", None),
        ("locked == True", None),
        ("True", True),
    ],
)
def test_a_condition_is_true_false_or_unknown(text: str, truth: bool | None) -> None:
    found = parse(text, FIELDS, ["role"]).holds(FACT, {"role": "shard"})
    assert found is truth


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("servng < majority", 'unknown fact "servng" (did you mean "serving"?)'),
        ("role == arg.rol", 'unknown argument "rol" (did you mean "role"?)'),
        ("role < 'x'", "it has no order"),
        ("role == 3", "is a text, compared with a number"),
        ("serving", "true or false, not a number"),
        ("serving == None", "is asked for with `is None`"),
        ("role is 'shard'", "for None alone"),
        ("1 < serving < 3", "compares more than two things"),
        ("serving + 1 > 2", "cannot say: `serving + 1`"),
        ("__import__('os').system('true')", "cannot say"),
        ("role.upper() == 'X'", "cannot say"),
        ("serving in majority", "wants a list"),
        ("serving and locked", "is not true or false"),
        ("serving <", "is no condition"),
        ("", "is no condition"),
        ("locked or " * 50 + "locked", "at most 400 characters"),
        ("(" * 300 + "locked" + ")" * 90, "is no condition"),
    ],
)
def test_what_is_wrong_is_said_when_the_page_is_loaded(text: str, says: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text, FIELDS, ["role"])
    assert says in str(caught.value)


@given(st.text(alphabet="abcdefgilmnorstvy ()<>=!'\"01.,[]{}:@-+*/\\\n\0\t", max_size=60))
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        found = parse(text, FIELDS, ["role"])
    except ConditionError:
        return
    assert found.holds(FACT, {"role": "x"}) in {True, False, None}


TRUTHS = st.sampled_from([True, False, None])
NAMES = ("a", "b", "c")


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from([*NAMES, "True", "False"]),
        lambda inner: st.one_of(
            inner.map(lambda one: f"(not {one})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
        ),
        max_leaves=8,
    )


def worlds(fact: dict[str, bool | None]) -> list[dict[str, bool | None]]:
    """Every way in which what is unknown may be."""
    every: list[dict[str, bool | None]] = [{}]
    for name, truth in fact.items():
        choices = [truth] if truth is not None else [True, False]
        every = [{**world, name: one} for world in every for one in choices]
    return every


@given(expressions(), st.fixed_dictionaries(dict.fromkeys(NAMES, TRUTHS)))
def test_what_is_said_of_the_unknown_holds_however_it_is(
    text: str, fact: dict[str, bool | None]
) -> None:
    found = parse(text, dict.fromkeys(NAMES, TRUTH)).holds(fact, {})
    code = compile(ast.parse(text, mode="eval"), "condition", "eval")
    real = {bool(eval(code, {}, world)) for world in worlds(fact)}  # noqa: S307 - our own text
    if found is not None:
        assert real == {found}
    if None not in fact.values():
        assert {found} == real
