"""What this process counts. The values stand in its memory, or in files where several processes serve together.

prometheus_client decides that once, when it is imported: gunicorn.conf.py names a directory before. There each
process has files of its own, which stay when it is killed; nobody's counts go backwards then.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from bridge.metrics import families, place
from bridge.metrics.families import COUNTED, Family, Source
from bridge.metrics.samples import Key, Samples, key

Process = Literal["web", "worker"]

OFFERS_UPSTREAM = "rokt_offers"  # the one that a web process calls; it is no destination
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
OTHER_STATUS = "other"
LOST, UNSENT = "lost", "unsent"  # in a status' place: no whole answer came; the call never began
GRANTED, TOKEN_REFUSED, NO_TOKEN = "granted", "refused", "failed"
TOKEN_OUTCOMES = (GRANTED, TOKEN_REFUSED, NO_TOKEN)

_OF_SAMPLES = {name: family for family in COUNTED for name in family.samples}
_registry = CollectorRegistry()


def _counter(family: Family) -> Counter:
    return Counter(family.name, family.words, family.labels, registry=_registry)


def _histogram(family: Family) -> Histogram:
    return Histogram(family.name, family.words, family.labels, registry=_registry, buckets=family.buckets)


_http, _faults = _histogram(families.HTTP), _counter(families.FAULTS)
_groups, _offers = _histogram(families.GROUPS), _counter(families.OFFERS)
_database, _upstream = _histogram(families.DATABASE), _histogram(families.UPSTREAM)
_tokens, _retried = _counter(families.TOKENS), _counter(families.RETRIED)
_slots, _taken_over = _counter(families.SLOTS), _counter(families.TAKEN_OVER)


@cache
def _series(family: Any, *labels: str) -> Any:
    """One series of it: looked up for each request, statement and call. What labels may say is bounded."""
    return family.labels(*labels)


def begin_in_this_process() -> None:
    """After a fork: files of its own, with their room taken: a full disk would kill whoever writes there."""
    Path(os.environ[place.NAME]).mkdir(0o700, exist_ok=True)
    _taken_over.inc(0)  # finds that the process is another, and opens all of them
    for path in Path(os.environ[place.NAME]).glob(f"*_{os.getpid()}.db"):
        with path.open("r+b") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def answered(route: str, status: int, seconds: float) -> None:
    """A request was answered. `route`: its declared name, never what was called."""
    _series(_http, route, class_of(status)).observe(seconds)
    if status == 500:
        _series(_faults, route).inc()


def stored(requests: int) -> None:
    """One commit stored so many."""
    _groups.observe(requests)


def offered(outcome: str) -> None:
    _series(_offers, outcome).inc()


def database_took(process: Process, operation: Literal["statement", "commit"], seconds: float) -> None:
    _series(_database, process, operation).observe(seconds)


def called(upstream: str, status: str, seconds: float) -> None:
    """`upstream`: a destination's name or OFFERS_UPSTREAM; `status`: of CLASSES, or what stands in its place."""
    _series(_upstream, upstream, status).observe(seconds)


def asked_for_token(destination: str, outcome: str) -> None:
    _series(_tokens, destination, outcome).inc()


def goes_again(destination: str, cause: str) -> None:
    _series(_retried, destination, cause).inc()


def slots_taken(destination: str, slots: int) -> None:
    _series(_slots, destination).inc(slots)


def taken_over(calls: int) -> None:
    _taken_over.inc(calls)


def class_of(status: int) -> str:
    """An upstream may answer any number."""
    return CLASSES[status // 100 - 1] if 100 <= status < 600 else OTHER_STATUS


def of_web() -> Samples:
    """What the web processes of this machine counted, this one and those beside it."""
    is_shared = os.path.isdir(os.environ.get(place.NAME, ""))  # somebody may sweep it away
    source = MultiProcessCollector(None) if is_shared else _registry  # type: ignore[no-untyped-call]
    return {series: value for series, value in _collected(source).items() if not _is_of_workers(series)}


def of_workers() -> Samples:
    """What this process counted as a worker, and no other."""
    return {series: value for series, value in _collected(_registry).items() if _is_of_workers(series)}


def _collected(source: Collector) -> Samples:
    return {
        key(sample.name, **sample.labels): sample.value
        for metric in source.collect()
        for sample in metric.samples
        if sample.name in _OF_SAMPLES
    }


def _is_of_workers(series: Key) -> bool:
    name, labels = series
    family = _OF_SAMPLES[name]
    if family.source == Source.BOTH:
        its = dict(labels)
        return its.get("process") == "worker" or its.get("destination", OFFERS_UPSTREAM) != OFFERS_UPSTREAM
    return family.source == Source.WORKERS
