"""The strips of a timeline: phases, who leads, whether a standby protects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.drill.contracts import Observation
from cluster.drill.measures import Measures
from cluster.drill.publish.paths import Scale
from cluster.drill.publish.series import Span
from cluster.drill.timeline import Sample

HEIGHT, GAP = 15.0, 4.0
LETTER = 5.9  # about the width of a letter, in the plot's units
COLOURS = 6  # of leaders; a seventh takes the first's


@dataclass(frozen=True)
class Piece:
    """A stretch of a strip; `label` is what fits into it, `tip` all there is to say.

    A label that must be read stands `beside` a stretch that is too short for it.
    """

    kind: str
    x: float
    width: float
    label: str
    tip: str
    beside: bool = False


@dataclass(frozen=True)
class Strip:
    """A row: its name, what fills it, and where the loss of the leader was known."""

    name: str
    y: float
    pieces: tuple[Piece, ...]
    noticed: tuple[Piece, ...] = ()
    height: float = HEIGHT + GAP


@dataclass(frozen=True)
class _Stretch:
    kind: str
    start_ns: int
    end_ns: int
    label: str
    tip: str


def strips(measures: Measures, span: Span, x: Scale, top: float) -> tuple[Strip, ...]:
    """Every row, from `top` downwards."""
    rows: list[tuple[str, list[_Stretch], list[_Stretch]]] = [
        ("phase", _phases(measures, span), [])
    ]
    if measures.run.timeline.injections:
        rows.append(("fault", _faults(measures, span), []))
    for group in sorted(measures.run.timeline.samples):
        samples = measures.samples(group)
        rows.append((group, _leaders(samples, span), _noticed(samples, span)))
        if any(sample.observation.protected is not None for sample in samples):
            rows.append(("standby", _protection(samples, span), []))
    return tuple(
        Strip(
            name,
            top + place * (HEIGHT + GAP),
            tuple(_placed(pieces, span, x)),
            tuple(_placed(noticed, span, x)),
        )
        for place, (name, pieces, noticed) in enumerate(rows)
    )


def _placed(stretches: Sequence[_Stretch], span: Span, x: Scale) -> Iterator[Piece]:
    for each in stretches:
        start, end = max(each.start_ns, span.start_ns), min(each.end_ns, span.end_ns)
        if start >= end:
            continue
        left, right = x((start - span.start_ns) / 1e9), x((end - span.start_ns) / 1e9)
        fits = int((right - left - 6) / LETTER)
        beside = each.kind == "broken" and len(each.label) > fits
        whole = beside or len(each.label) <= fits
        label = each.label if whole else _shorter(each.label, fits)
        yield Piece(each.kind, left, max(1.0, right - left), label, each.tip, beside)


def _shorter(label: str, fits: int) -> str:
    """Its first word where that fits, else nothing."""
    word = label.partition(",")[0]
    return word if len(word) <= fits else ""


def _phases(measures: Measures, span: Span) -> list[_Stretch]:
    phases = measures.run.timeline.phases
    ends = [*(began for _, began in phases[1:]), span.end_ns]
    return [
        _Stretch(f"phase{place % 2}", began, end, phase.value, phase.value)
        for place, ((phase, began), end) in enumerate(zip(phases, ends, strict=False))
    ]


def _faults(measures: Measures, span: Span) -> list[_Stretch]:
    return [
        _Stretch("broken", each.began_ns, each.undone_ns or span.end_ns, each.fault, each.proof)
        for each in measures.run.timeline.injections
    ]


def _until(samples: Sequence[Sample], span: Span) -> Iterator[tuple[Sample, int]]:
    """Each sample with when the next one said something else."""
    for place, sample in enumerate(samples):
        last = place + 1 == len(samples)
        yield sample, span.end_ns if last else samples[place + 1].ended_ns


def _leaders(samples: Sequence[Sample], span: Span) -> list[_Stretch]:
    nodes = list(dict.fromkeys(n for sample in samples for n in sample.observation.leaders))
    found: list[_Stretch] = []
    for sample, end in _until(samples, span):
        seen = sample.observation
        label = _led_by(seen)
        if found and found[-1].label == label:
            found[-1] = _Stretch(found[-1].kind, found[-1].start_ns, end, label, found[-1].tip)
        else:
            kind = _leader_kind(seen, nodes)
            tip = f"{label}; {seen.detail}" if seen.detail else label
            found.append(_Stretch(kind, sample.ended_ns, end, label, tip))
    return found


def _leader_kind(seen: Observation, nodes: Sequence[str]) -> str:
    if len(seen.leaders) > 1:
        return "two"
    return f"leader{nodes.index(seen.leaders[0]) % COLOURS}" if seen.leaders else "nobody"


def _led_by(seen: Observation) -> str:
    who = " and ".join(seen.leaders) or "nobody"
    return f"{who}, epoch {seen.epoch}" if seen.leaders and seen.epoch is not None else who


def _noticed(samples: Sequence[Sample], span: Span) -> list[_Stretch]:
    return [
        _Stretch("noticed", sample.ended_ns, end, "", "the loss of the leader is known")
        for sample, end in _until(samples, span)
        if sample.observation.detected_down
    ]


def _protection(samples: Sequence[Sample], span: Span) -> list[_Stretch]:
    names = {True: "attached", False: "unprotected", None: "not known"}
    found: list[_Stretch] = []
    for sample, end in _until(samples, span):
        label = names[sample.observation.protected]
        if found and found[-1].label == label:
            found[-1] = _Stretch(found[-1].kind, found[-1].start_ns, end, label, label)
        else:
            kind = label.replace(" ", "-")
            found.append(_Stretch(kind, sample.ended_ns, end, label, f"standby {label}"))
    return found
