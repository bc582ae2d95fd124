"""The loaders of files that people write, in a storm of bad ones: no crash, no hang, no leak."""

import random
from pathlib import Path

import pytest

from cluster.errors import InvalidInputError
from cluster.strict_yaml import MAX_BYTES
from cluster.topology_file import SHIPPED_NAMES, load_topology, parse_topology
from runbooks import catalogue
from tests.unit.mutations import Figures, mutated, storm

TOPOLOGIES = [path.read_text("utf-8") for path in SHIPPED_NAMES.values()]
PAGES = [
    path.read_text("utf-8")
    for path in sorted((Path(__file__).parents[2] / "runbooks" / "pages").glob("*.md"))
]
FEW, MANY = 120, 5_000
SLOWEST = 10.0  # seconds of processor for one file of at most 256 KiB, on a machine others load
LONGEST_REFUSAL = 32_000  # characters that a person is told
# What a loader may keep: interned words, caches of patterns and of exceptions' frames.
OBJECTS, BYTES = 2000, 64 * 1024 * 1024


def topology(seed: int, cases: int) -> Figures:
    return storm(lambda text: parse_topology(text, "fuzzed"), TOPOLOGIES, seed, cases)


def pages(seed: int, cases: int) -> Figures:
    return storm(lambda text: catalogue.parse(text, "page.md"), PAGES, seed, cases)


def well(figures: Figures) -> None:
    print(figures)
    assert figures.refused > figures.taken > 0  # of both kinds, else it shows little
    assert figures.slowest < SLOWEST
    assert figures.longest_refusal < LONGEST_REFUSAL
    assert figures.objects_more < OBJECTS
    assert figures.bytes_more < BYTES
    assert figures.files_more <= 0


def test_some_bad_topologies_are_refused_politely() -> None:
    well(topology(1, FEW))


def test_some_bad_pages_are_refused_politely() -> None:
    well(pages(1, FEW))


@pytest.mark.exhaustive
def test_many_bad_topologies_are_refused_politely() -> None:
    well(topology(2, MANY))


@pytest.mark.exhaustive
def test_many_bad_pages_are_refused_politely() -> None:
    well(pages(2, MANY))


def test_bytes_that_are_no_text_are_refused_politely(tmp_path: Path) -> None:
    chance, file = random.Random(3), tmp_path / "bytes.yaml"
    for _ in range(100):
        raw = bytearray(mutated(TOPOLOGIES, chance).encode("utf-8", "surrogatepass"))
        for _ in range(chance.randrange(4)):
            raw[chance.randrange(len(raw) or 1) : 0] = chance.randbytes(chance.randrange(3))
        file.write_bytes(raw)
        try:
            load_topology(file)
        except InvalidInputError as error:
            unnamed = str(file) not in error.message
        else:
            unnamed = False
        assert not unnamed


# Each costs far more than its size where something is done for every pair of entries.
HOSTILE = {
    "lists that are too short": "regions:\n" + "  - {name: a, zones: []}\n" * 6000,
    "a list of a hundred thousand": f"a: [{'1, ' * 80_000}1]",
    "brackets that are not closed": "[" * 200_000,
    "unknown fields": "".join(f"k{i}: 1\n" for i in range(15_000)),
    "a field given again and again": "name: x\n" * 15_000,
    "an alias of itself": "a: &a [*a]",
    "zones": TOPOLOGIES[0].replace(
        "regions:\n",
        f"regions:\n  - {{name: q, zones: [{', '.join(f'z{i}' for i in range(15_000))}]}}\n",
    ),
}
FRONT = f"---{PAGES[0].split('---')[1]}---\n"
HOSTILE_PAGES = {
    "headings": FRONT + "## a\n" * 50_000,
    "steps": FRONT + "```yaml step\nstep: do\n```\n" * 8000,
    "front matter": "---\n" + "a: 1\n" * 40_000 + "---\n",
    "front matter that never ends": "---\n" * 60_000,
    "links that are not closed": FRONT + "[" * 100_000,
    "emphasis": FRONT + "a**b" + "c* " * 50_000,
    "quotes in quotes": FRONT + "> " * 60_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_topology_costs_little(text: str) -> None:
    assert len(text) <= MAX_BYTES
    figures = storm(lambda _: parse_topology(text, "hostile"), TOPOLOGIES, 1, 1)
    assert (figures.refused, figures.slowest < SLOWEST) == (1, True), figures
    assert figures.longest_refusal < LONGEST_REFUSAL


@pytest.mark.parametrize("text", HOSTILE_PAGES.values(), ids=list(HOSTILE_PAGES))
def test_a_hostile_page_costs_little(text: str) -> None:
    assert len(text) <= MAX_BYTES
    figures = storm(lambda _: catalogue.parse(text, "hostile.md"), PAGES, 1, 1)
    assert (figures.refused, figures.slowest < SLOWEST) == (1, True), figures
    assert figures.longest_refusal < LONGEST_REFUSAL
