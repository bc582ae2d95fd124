"""Components as files for GitOps: what is written, and what differs from what was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster.errors import InvalidInputError
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.objects import Json, Manifest, to_yaml

AWAY = "dr"  # the folder of what belongs to a DR cluster of its own
KUSTOMIZATION = "kustomization.yaml"
HEADER = "# Written by `skillswap-ops render`: change the topology file instead.\n"
SHOWN = 60  # characters of a value


@dataclass(frozen=True)
class Difference:
    """An object, a field of it, and what is wrong; an empty field is the whole object or file."""

    file: str
    object: str
    field: str
    what: str


def texts(found: Sequence[Component], *, secrets: bool = False) -> dict[str, str]:
    """Files by their path in the folder; passwords in clear only where asked for."""
    files: dict[str, str] = {}
    for component in found:
        objects = [each for each in component.objects if secrets or not each.secret]
        if objects:
            files[_path(component)] = HEADER + to_yaml(objects)
    for folder in sorted({str(Path(path).parent) for path in files}):
        inside = sorted(Path(path).name for path in files if str(Path(path).parent) == folder)
        files[str(Path(folder) / KUSTOMIZATION)] = HEADER + _kustomization(inside)
    return files


def left_out(found: Sequence[Component]) -> tuple[str, ...]:
    """The secrets that `texts` does not write unless asked."""
    return tuple(each.key for one in found for each in one.objects if each.secret)


def _path(component: Component) -> str:
    number = list(Idea).index(component.idea)
    name = f"{number:02d}-{component.name}.yaml"
    return f"{AWAY}/{name}" if component.away else name


def _kustomization(files: Sequence[str]) -> str:
    data = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }
    return yaml.safe_dump(data, sort_keys=False)


def differences(folder: Path, wanted: Mapping[str, str]) -> tuple[Difference, ...]:
    """What is in the folder and should not be, is missing, or is not as wanted.

    Raises InvalidInputError where a file of it is no YAML.
    """
    present = {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.yaml"))
        if str(path.relative_to(folder)) in wanted or _ours(path)
    }
    rows: list[Difference] = []
    for name in sorted({*present, *wanted}):
        if name not in present:
            rows.append(Difference(name, "", "", "is missing"))
        elif name not in wanted:
            rows.append(Difference(name, "", "", "is not rendered any more"))
        elif present[name] != wanted[name]:
            rows += _of_file(name, present[name], wanted[name])
    return tuple(rows)


def _ours(path: Path) -> bool:
    """Whether it was rendered once: other people's files are none of our business."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(len(HEADER)) == HEADER


def _of_file(name: str, present: str, wanted: str) -> Iterator[Difference]:
    there, should = _objects(name, present), _objects(name, wanted)
    seen = False
    for key in dict.fromkeys((*should, *there)):
        if key not in there:
            rows = [Difference(name, key, "", "is missing")]
        elif key not in should:
            rows = [Difference(name, key, "", "is not rendered any more")]
        else:
            rows = [Difference(name, key, *row) for row in compared("", there[key], should[key])]
        seen = seen or bool(rows)
        yield from rows
    if not seen:
        yield Difference(name, "", "", "is written differently, and means the same")


def _objects(name: str, text: str) -> dict[str, Json]:
    try:
        documents = [each for each in yaml.safe_load_all(text) if each]
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{name} is no YAML: {error}", "render it again") from None
    return {_key(each): each for each in documents}


def _key(document: dict[str, Json]) -> str:
    return Manifest(document).key if "metadata" in document else str(document.get("kind"))


def compared(path: str, there: Json, should: Json) -> Iterator[tuple[str, str]]:
    """The fields that differ, each with what it is and should be."""
    if isinstance(there, dict) and isinstance(should, dict):
        for key in dict.fromkeys((*should, *there)):
            inner = f"{path}.{key}" if path else key
            yield from compared(inner, there.get(key), should.get(key))
    elif isinstance(there, list) and isinstance(should, list) and len(there) == len(should):
        for index, (left, right) in enumerate(zip(there, should, strict=True)):
            yield from compared(f"{path}[{index}]", left, right)
    elif there != should:
        yield path, f"is {_short(there)}, should be {_short(should)}"


def _short(value: Json) -> str:
    if isinstance(value, str) and "\n" in value:
        return f"a text of {len(value.splitlines())} lines"
    text = "absent" if value is None else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
