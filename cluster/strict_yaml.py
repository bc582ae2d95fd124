"""YAML that means one thing: what readers of YAML 1.1 and of 1.2 take differently is refused.

Nothing but mappings with text keys, lists, text, decimal numbers, true, false and null comes
through. Size, depth and what aliases expand to are bounded, so that a hostile file costs nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from cluster.problems import Path, Problem, Raw

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_VALUES = 20_000  # after aliases are expanded; a topology of 40 shards has under 1,000

_TAG = "tag:yaml.org,2002:"
_NUMBERS = {"int", "float"}
# YAML 1.2's core schema, numbers in decimal only: https://yaml.org/spec/1.2.2/#103-core-schema
_CORE = (
    ("null", re.compile(r"|~|null|Null|NULL")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")),
    ("float", re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
)
LIKE_A_NUMBER = re.compile(f"({'|'.join(p.pattern for kind, p in _CORE if kind in _NUMBERS)})$")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NO_TEXT = "has a character that is not text"
_AMBIGUOUS = {
    "bool": "must be true or false, or text in quotes: some YAML readers take it for a boolean",
    "int": "must be a plain decimal number, or text in quotes: YAML readers differ on it",
    "float": "must be a plain decimal number, or text in quotes: YAML readers differ on it",
    "timestamp": "must be in quotes: some YAML readers take it for a date",
    "value": "must be in quotes: some YAML readers take it for a tag",
    "merge": "merge keys are not supported: write the fields out",
}


class YamlError(Exception):
    """The text is no YAML, or over a bound. `line` counts from 1; 0 where it is not known."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True)
class Document:
    """Plain data, the line of every path in it, and what was wrong by itself."""

    data: object
    lines: dict[Path, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing around it that the file has."""
        while path not in self.lines:
            if not path:
                return 1
            path = path[:-1]
        return self.lines[path]


def read_yaml(text: str) -> Document:
    """The one document in `text`; its data is None where there is none. Raises YamlError."""
    try:
        root = _Composer(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(
            f"has a character that is not text (U+{error.character:04X})", line
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(_syntax(error), mark.line + 1 if mark else 0) from None
    return Document(None) if root is None else _Builder().document(root)


def _syntax(error: yaml.MarkedYAMLError) -> str:
    if "'\\t'" in str(error.problem):
        return "a tab cannot indent or separate in YAML: use spaces"
    if isinstance(error, yaml.composer.ComposerError) and "document" in str(error.context):
        return "must be one YAML document, without a second `---`"
    return f"is not valid YAML: {error.problem or error.context}"


class _Composer(yaml.SafeLoader):
    """PyYAML's, with a bound to its recursion and to what it makes.

    A value has at most a name beside it: no file that is within MAX_VALUES has more nodes.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node and all below it."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise YamlError("is nested too deeply", self.line + 1)
        self._nodes += 1
        if self._nodes > 2 * MAX_VALUES:
            raise YamlError("has too many values", self.line + 1)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Builder:
    """Turns nodes into data, and remembers where each came from."""

    def __init__(self) -> None:
        self._lines: dict[Path, int] = {}
        self._problems: list[Problem] = []

    def document(self, root: yaml.Node) -> Document:
        """The document below `root`."""
        data = self._value(root, ())
        return Document(data, self._lines, tuple(self._problems))

    def _value(self, node: yaml.Node, path: Path) -> object:
        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        if len(self._lines) > MAX_VALUES or len(path) > MAX_DEPTH:
            raise YamlError("has too many values, aliases expanded", line)
        match node:
            case yaml.MappingNode() if node.tag == f"{_TAG}map":
                return dict(self._fields(node, path))
            case yaml.SequenceNode() if node.tag == f"{_TAG}seq":
                return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, path)
        self._problems.append(Problem(path, f"the tag {_short(node.tag)} is not supported"))
        return None

    def _fields(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                self._problems.append(Problem(path, "a field's name must be text", line=line))
                continue
            name, line = _characters(key.value), key.start_mark.line + 1
            here = (*path, name or "")
            if here in self._lines:
                reason = f"is given twice (first on line {self._lines[here]})"
                self._problems.append(Problem(here, reason, line=line))
            elif name is None or key.tag == f"{_TAG}merge":
                reason = _NO_TEXT if name is None else _AMBIGUOUS["merge"]
                self._problems.append(Problem(path, reason, line=line))
            else:
                self._lines[here] = line
                yield name, self._value(value, here)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        text = _characters(node.value)
        if text is None:
            self._problems.append(Problem(path, _NO_TEXT))
            return None
        if node.style is not None and node.tag == f"{_TAG}str":
            return text
        kind = _kind(text)
        if node.tag != f"{_TAG}{kind}" or (kind == "int" and not _DECIMAL.fullmatch(text)):
            self._refuse(node, kind, path)
            return text
        return _plain(kind, text)

    def _refuse(self, node: yaml.ScalarNode, kind: str, path: Path) -> None:
        said = node.tag.removeprefix(_TAG)
        reason = _AMBIGUOUS.get(kind if said == "str" else said)
        if reason is None:
            self._problems.append(Problem(path, f"the tag {_short(node.tag)} is not supported"))
        else:
            self._problems.append(Problem(path, reason, Raw(node.value)))


def _kind(text: str) -> str:
    """What YAML 1.2 takes a plain scalar for."""
    return next((kind for kind, pattern in _CORE if pattern.fullmatch(text)), "str")


def _plain(kind: str, text: str) -> object:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        case _:
            return text


def _characters(text: str) -> str | None:
    """The text with surrogate pairs joined (JSON's way to escape); None for half a pair."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None


def _short(tag: str) -> str:
    return tag.replace(_TAG, "!!")[:60]
