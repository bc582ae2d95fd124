"""Files as nobody should write them, made from good ones by chance; a seed makes the same again."""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil

from cluster.errors import InvalidInputError

LONGEST = 256 * 1024
# What has a meaning to YAML, Markdown, a condition or a terminal, and what has none to anybody.
TOKENS = (
    *("&a ", "*a", "!!int ", "!x ", "<<: ", "- ", "? ", "{", "}", "[", "]", ": ", "|\n", '"', "'"),
    *("\n", "  ", "\t", "#", "yes", "0x1", "1e9", ".inf", "~", "---\n", "...\n", "%YAML 1.1\n"),
    *("\0", "\ud800", "\ufeff", "\x1b[2J", "é", "\u2028", "𝕏", "\r", "\r\n", "NaN", "9" * 40),
    *("```", "```yaml step\n", "## ", "> ", "![", "](", "<!--", "`", "**", "{name}", "{{", "arg."),
    *("not ", " and ", " in ()", "is None", "(" * 200, "[" * 50, "{a: " * 50, "x" * 5000),
)
BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]\n" for i in range(1, 10)
)

Wound = Callable[[str, random.Random, Sequence[str]], str]


def _cut(text: str, chance: random.Random, _: Sequence[str]) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randrange(1, 60) :]


def _end(text: str, chance: random.Random, _: Sequence[str]) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _insert(text: str, chance: random.Random, _: Sequence[str]) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(TOKENS) + text[at:]


def _character(text: str, chance: random.Random, _: Sequence[str]) -> str:
    at = chance.randrange(len(text) + 1)
    return (
        text[:at]
        + chr(chance.choice((chance.randrange(128), chance.randrange(0x110000))))
        + (text[at + 1 :])
    )


def _splice(text: str, chance: random.Random, others: Sequence[str]) -> str:
    other = chance.choice(others)
    start, at = chance.randrange(len(other)), chance.randrange(len(text) + 1)
    return text[:at] + other[start : start + chance.randrange(1, 400)] + text[at:]


def _lines(text: str, chance: random.Random, _: Sequence[str]) -> str:
    """A line moved, indented otherwise, or there a thousand times."""
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            lines.insert(chance.randrange(len(lines)), lines.pop(at))
        case 1:
            lines[at] = " " * chance.randrange(12) + lines[at].lstrip()
        case 2:
            lines[at : at + 1] = [lines[at]] * chance.choice((2, 3, 50, 2000))
        case _:
            lines[at : at + 1] = [lines[at].replace(":", f"{i}:", 1) for i in range(500)]
    return "\n".join(lines)


def _value(text: str, chance: random.Random, _: Sequence[str]) -> str:
    """Another value for a field."""
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    name, colon, _rest = lines[at].partition(":")
    number = str(chance.choice((0, -1, 2**31, 2**63, 2**70, 1e308, 0.1, 70_000)))
    values = (number, "[]", "{}", '""', "null", "true", "2026-01-01", "[[[]]]", "{a: {b: c}}", "*a")
    lines[at] = f"{name}{colon} {chance.choice((*values, chance.choice(TOKENS)))}"
    return "\n".join(lines)


def _bomb(text: str, chance: random.Random, _: Sequence[str]) -> str:
    return text.replace("\n", f"\n{BOMB}", 1) if chance.random() < 0.5 else text + BOMB


WOUNDS: tuple[Wound, ...] = (
    *(_cut, _insert, _character, _splice, _lines, _value) * 4,
    *(_end, _bomb),
)


def mutated(samples: Sequence[str], chance: random.Random) -> str:
    """One of the samples with some wounds, or all new of tokens; cut at the loaders' own limit."""
    if chance.random() < 0.03:
        return "".join(chance.choices(TOKENS, k=chance.randrange(1, 200)))[:LONGEST]
    text = chance.choice(samples)
    for _ in range(chance.randrange(1, 8)):
        text = chance.choice(WOUNDS)(text, chance, samples)
    return text[: LONGEST + 1]


@dataclass
class Figures:
    """What a storm came to; seconds are of this process's own processor time."""

    cases: int = 0
    taken: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    longest_refusal: int = 0
    objects_more: int = 0
    bytes_more: int = 0
    files_more: int = 0


def storm(read: Callable[[str], object], samples: Sequence[str], seed: int, cases: int) -> Figures:
    """Have so many mutated texts read; nothing but InvalidInputError may come of one.

    A tenth of the cases go before, to fill what is kept for ever; growth is counted after them.
    """
    figures, process = Figures(), psutil.Process()
    warm = cases // 10
    for number, text in enumerate(_texts(samples, seed, cases)):
        if number == warm:
            objects, memory, files = _held(process)
        _one(read, text, figures, f"seed {seed}, case {number}")
    more = _held(process)
    figures.objects_more = more[0] - objects
    figures.bytes_more = more[1] - memory
    figures.files_more = more[2] - files
    return figures


def _texts(samples: Sequence[str], seed: int, cases: int) -> Iterator[str]:
    """Each case has a chance of its own, so that one alone can be made again."""
    for number in range(cases):
        yield mutated(samples, random.Random(seed * 10**9 + number))


def _one(read: Callable[[str], object], text: str, figures: Figures, which: str) -> None:
    began = time.process_time()
    try:
        read(text)
        figures.taken += 1
    except InvalidInputError as error:
        figures.refused += 1
        figures.longest_refusal = max(figures.longest_refusal, len(str(error)))
    except BaseException as error:
        error.add_note(which)
        raise
    took = time.process_time() - began
    figures.cases += 1
    figures.seconds += took
    figures.slowest = max(figures.slowest, took)


def _held(process: psutil.Process) -> tuple[int, int, int]:
    gc.collect()
    return len(gc.get_objects()), process.memory_info().rss, process.num_fds()
