"""The page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from bridge.metrics.families import FAMILIES, Family
from bridge.metrics.samples import Key, Labels

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OF_INSTANCE = "dyno"  # may stand beside a family's own labels
_BOUND = "le"  # a bucket's label


class _Page(Collector):
    def __init__(self, samples: Mapping[Key, float]) -> None:
        self._by_name: dict[str, list[tuple[Labels, float]]] = {}
        for (name, labels), value in samples.items():
            self._by_name.setdefault(name, []).append((labels, value))

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            metric = Metric(family.name, family.words, family.kind)
            for name in family.samples:
                own = set(family.labels) | ({_BOUND} if name.endswith("_bucket") else set())
                for labels, value in sorted(self._by_name.get(name, ()), key=_place):
                    # A worker of another release may count otherwise.
                    if {label for label, _ in labels} - {OF_INSTANCE} == own:
                        metric.add_sample(name, dict(labels), value)
            yield metric


def render(samples: Mapping[Key, float]) -> bytes:
    """Every family, with those of these samples that are its own."""
    return generate_latest(_Page(samples))


def buckets(family: Family, destination: str, counts: Mapping[float, int]) -> dict[Key, float]:
    """A histogram of one destination. `counts`: how many by their bucket's upper bound, seconds."""
    samples: dict[Key, float] = {}
    total = 0
    for bound in sorted(counts):
        total += counts[bound]
        samples[_bucket(family, destination, bound)] = float(total)
    samples[family.samples[-1], (("destination", destination),)] = float(total)
    return samples


def _bucket(family: Family, destination: str, bound: float) -> Key:
    told = "+Inf" if bound == float("inf") else repr(bound)
    return family.samples[0], (("destination", destination), (_BOUND, told))


def _place(sample: tuple[Labels, float]) -> tuple[Labels, float]:
    labels = dict(sample[0])
    bound = float(labels.pop(_BOUND, "inf"))
    return tuple(sorted(labels.items())), bound
