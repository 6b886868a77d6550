"""Samples as values: added up over processes, taken apart by who counted them, and as JSON in a worker's row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Labels = tuple[tuple[str, str], ...]  # sorted
Key = tuple[str, Labels]  # the series' whole name
Samples = dict[Key, float]


def key(name: str, **labels: str) -> Key:
    return name, tuple(sorted(labels.items()))


def added(*several: Mapping[Key, float]) -> Samples:
    total: Samples = {}
    for one in several:
        for series, value in one.items():
            total[series] = total.get(series, 0.0) + value
    return total


def since(now: Mapping[Key, float], before: Mapping[Key, float]) -> Samples:
    """What was counted after `before`."""
    return {
        series: more for series, value in now.items() if (more := round(value - before.get(series, 0.0), 6))
    }


def to_json(samples: Mapping[Key, float]) -> list[Any]:
    return [[name, dict(labels), value] for (name, labels), value in samples.items()]


def from_json(kept: Iterable[Any] | None) -> Samples:
    return {key(name, **labels): value for name, labels, value in kept or ()}
