"""The processes of a measure: started in sessions of their own, awaited, asked for their CPU time, ended."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.webhook import KEY
from bridge.local import free_port

ROOT = Path(__file__).resolve().parent.parent
STARTS_WITHIN = 30.0  # seconds
PARENT_DIED = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Running:
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds of CPU time used so far, children included."""
        process = psutil.Process(self.pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return sum(t.user + t.system for t in times)


@dataclass(frozen=True)
class Seen:
    """What reached the stand-in. `arrivals`: number and monotonic time, since the last look."""

    count: int
    token_calls: int
    refused: int
    arrivals: list[tuple[int, float]]


def for_web(database_url: str) -> dict[str, str]:
    """A web process as in production; it calls no upstream."""
    return {
        "BRIDGE_TOKENS": f"bench:{KEY}",
        "BRIDGE_ENV": "production",
        "SECRET_KEY": "a secret of the benchmark's own, long enough",
        "DATABASE_URL": database_url,
        "ROKT_CALENDAR_URL": "https://127.0.0.1",
        "ROKT_CALENDAR_CLIENT_ID": "id",
        "ROKT_CALENDAR_CLIENT_SECRET": "secret",
    }


def for_worker(database_url: str, rokt_url: str) -> dict[str, str]:
    """`development`, as the stand-in speaks plain HTTP."""
    return for_web(database_url) | {"BRIDGE_ENV": "development", "ROKT_CALENDAR_URL": rokt_url}


def migrate(environ: Mapping[str, str]) -> None:
    _finish([sys.executable, "-m", "bridge", "migrate"], environ)


@contextmanager
def web(environ: Mapping[str, str]) -> Iterator[Running]:
    with _gunicorn("bridge.app:create_app()", environ) as running:
        yield running


@contextmanager
def web_with_upstream(environ: Mapping[str, str]) -> Iterator[Running]:
    """In `development`, as a stand-in speaks plain HTTP, but with production's logs."""
    with _gunicorn("benchmarks.production_web:create_app()", environ) as running:
        yield running


@contextmanager
def bare_web(environ: Mapping[str, str]) -> Iterator[Running]:
    """The bare view under the very settings of the bridge's web process."""
    with _gunicorn("benchmarks.bare:app", environ) as running:
        yield running


@contextmanager
def worker(environ: Mapping[str, str], module: str = "benchmarks.production_worker") -> Iterator[Running]:
    with started([sys.executable, "-m", module], environ, port=0) as running:
        yield running


@contextmanager
def stand_in(*, delay_ms: float = 0.0, token_life: int = 300, is_broken: bool = False) -> Iterator[Running]:
    port = free_port()
    options = ["--port", str(port), "--delay", str(delay_ms), "--token-life", str(token_life)]
    options += ["--broken"] if is_broken else []
    with started([sys.executable, "-m", "benchmarks.stand_in", *options], {}, port=port) as running:
        await_answer(f"{running.url}/")
        yield running


def seen(rokt: Running) -> Seen:
    with urllib.request.urlopen(f"{rokt.url}/seen", timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
    return Seen(**told)


@contextmanager
def started(command: list[str], environ: Mapping[str, str], *, port: int) -> Iterator[Running]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_the_benchmark,
    )
    try:
        yield Running(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _end_with_the_benchmark() -> None:
    ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGTERM)


def await_answer(address: str) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{address} does not answer")


@contextmanager
def _gunicorn(application: str, environ: Mapping[str, str]) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
    with started([*command, application], environ, port=port) as running:
        await_answer(f"{running.url}/healthz")
        yield running


def _finish(command: list[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environ, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr.decode()[-2000:]}")
