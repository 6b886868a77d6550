"""The machine that the figures are of."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.extent import Extent
from benchmarks.report import Table

SYNCS = 200


def described(postgresql: str, extent: Extent) -> Table:
    """`postgresql`: its version in words."""
    memory = psutil.virtual_memory().total / 2**30
    lines = [
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("each ratio", f"{extent.rounds} × {extent.seconds:g} s of each side, in turns"),
        ("processor", f"{_processor()}, {os.cpu_count()} cores, shared by all that is measured"),
        ("load before", f"{os.getloadavg()[0]:.2f} (mean of the last minute)"),
        ("memory", f"{memory:.0f} GiB"),
        ("write of 4 KiB with fsync", "{:.2f} ms (median), {:.2f} ms (99 %)".format(*_fsync_ms())),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        (
            "Flask, gunicorn, gevent, requests",
            ", ".join(map(version, ("flask", "gunicorn", "gevent", "requests"))),
        ),
        (
            "web process",
            f"gunicorn, WEB_CONCURRENCY={os.environ.get('WEB_CONCURRENCY', '1')}, greenlets",
        ),
        ("SQLite", sqlite3.sqlite_version),
        ("PostgreSQL", postgresql),
    ]
    return Table("The machine", ("", ""), lines)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _fsync_ms() -> tuple[float, float]:
    """Median and 99th percentile, where the databases of the benchmark lie."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), sorted(times)[SYNCS * 99 // 100]
