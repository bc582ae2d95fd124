"""The architecture page says what is: its arrows are import-linter's, its files are there."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def layers() -> list[list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    [found] = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"]
    return [[name.strip() for name in layer.split("|")] for layer in found]


def drawn() -> set[tuple[str, str]]:
    """The arrows of the page's first picture."""
    picture = re.findall(r"```mermaid\n(.*?)```", PAGE, re.S)[0]
    bare = re.sub(r"\[.*?\]", "", picture)
    rows = re.findall(r"^\s+(\w+) --> (.+)$", bare, re.M)
    return {(source, one.strip()) for source, ends in rows for one in ends.split("&")}


def test_the_arrows_are_those_of_the_contract() -> None:
    pairs = pairwise(layers())
    wanted = {(upper, lower) for above, below in pairs for upper in above for lower in below}
    assert drawn() == wanted


def test_every_file_that_it_names_is_there() -> None:
    named = [one for one in re.findall(r"`([\w./]+)`", PAGE) if "/" in one]
    assert len(named) > 10
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_every_page_that_it_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert links
    assert [one for one in links if not (ROOT / "docs" / one).exists()] == []
