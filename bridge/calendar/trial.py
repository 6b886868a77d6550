"""Renders templates in a child process with limits of CPU and memory: what nobody has seen run yet."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.calendar.engine import TemplateFault, check_piece, compile_template
from bridge.calendar.event import FIELDS, parse_fields
from bridge.errors import InvalidPayload

CPU_SECONDS = 5
MEMORY_BYTES = 512 * 1024 * 1024
ENDS_WITHIN = 20.0  # seconds, the start of Python included
AT_ONCE = 50  # templates in one child


def try_out(names: Sequence[str], sources: Mapping[str, str]) -> dict[str, TemplateFault]:
    """Compile each, and render templates with their own examples; shared pieces only compile. The faults, by name."""
    faults: dict[str, TemplateFault] = {}
    for first in range(0, len(names), AT_ONCE):
        faults |= _in_a_child(names[first : first + AT_ONCE], sources)
    return faults


def _in_a_child(names: Sequence[str], sources: Mapping[str, str]) -> dict[str, TemplateFault]:
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
            return {n: fault for name in names for n, fault in _in_a_child([name], sources).items()}
        words = f"took more than {CPU_SECONDS} s or 512 MB to render its examples"
        return {names[0]: TemplateFault(names[0], None, "template", "rendering took too long", words)}
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return {name: TemplateFault(*told) for name, told in found.items()}


def _fault_of(name: str, sources: Mapping[str, str]) -> list[Any] | None:
    """What a TemplateFault is made of."""
    try:
        if name.startswith("_"):
            check_piece(name, sources)
        else:
            _render_examples(name, sources)
    except TemplateFault as fault:
        return [fault.template, fault.line, fault.field, fault.cause, fault.words]
    return None


def _render_examples(name: str, sources: Mapping[str, str]) -> None:
    template = compile_template(name, sources)
    rendered = template.render(template.examples(), datetime.now(UTC))
    if rendered.skip is not None:
        return
    try:
        parse_fields({k: v for k, v in rendered.fields.items() if k in FIELDS}, prefix="")
    except InvalidPayload as wrong:
        first = wrong.errors[0]
        words = f"{first.field}, with the examples of the first comment: {first.message}"
        raise TemplateFault(name, None, first.field, "wrong event", words) from wrong


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
