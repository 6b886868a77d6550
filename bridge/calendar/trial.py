"""Renders templates in a child process with limits of CPU and memory: what nobody has seen run yet."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.calendar.engine import TemplateFault, compile_template

CPU_SECONDS = 5
MEMORY_BYTES = 512 * 1024 * 1024
ENDS_WITHIN = 20.0  # seconds, the start of Python included


def try_out(names: Sequence[str], sources: Mapping[str, str]) -> dict[str, str]:
    """Compile each template and render it with its own examples. Returns the faults, in words, by name."""
    if not names:
        return {}
    asked = json.dumps({"names": list(names), "sources": dict(sources)})
    try:
        # The child is this module; what it is asked comes by its standard input.
        done = subprocess.run(
            [sys.executable, "-m", "bridge.calendar.trial"],
            input=asked.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ENDS_WITHIN,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        if len(names) > 1:  # which of them was it?
            return {n: fault for name in names for n, fault in try_out([name], sources).items()}
        return {
            names[0]: f"{names[0]}.jinja: took more than {CPU_SECONDS} s or 512 MB to render its examples"
        }
    faults: dict[str, str] = json.loads(done.stdout)
    return faults


def _fault_of(name: str, sources: Mapping[str, str]) -> str | None:
    try:
        template = compile_template(name, sources)
        template.render(template.examples(), datetime.now(UTC))
    except TemplateFault as fault:
        return str(fault)
    return None


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows has none; the parent's time limit holds there
        return
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    _limit()
    faults = {name: fault for name in asked["names"] if (fault := _fault_of(name, asked["sources"]))}
    json.dump(faults, sys.stdout)


if __name__ == "__main__":
    _main()
