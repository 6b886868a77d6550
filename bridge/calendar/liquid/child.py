"""Runs an import where it can do no harm: a body that was pasted may loop, or be made to."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

from bridge.calendar.liquid.pasted import check_size
from bridge.calendar.liquid.results import Imported, LiquidFault

CPU_SECONDS = 5
MEMORY_BYTES = 512 * 1024 * 1024
ENDS_WITHIN = 12.0  # seconds, the start of Python included


def import_liquid(text: str, *, name: str, url: str = "", headers: str = "") -> Imported:
    """A template named `name` of what stands in a Braze webhook's three boxes. Errors: LiquidFault.

    It waits for a child process: in the web process, call it aside.
    """
    check_size(text, url, headers)
    asked = json.dumps({"text": text, "name": name, "url": url, "headers": headers})
    try:
        # The child is this module; what it is asked comes by its standard input.
        done = subprocess.run(
            [sys.executable, "-m", "bridge.calendar.liquid.child"],
            input=asked.encode("utf-8", "replace"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ENDS_WITHIN,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        words = (
            f"this took more than {CPU_SECONDS} s or 512 MB to read and to try: "
            "is something opened and not closed, or a loop too long?"
        )
        raise LiquidFault(words) from error
    answer: dict[str, Any] = json.loads(done.stdout)
    if "fault" in answer:
        raise LiquidFault(*answer["fault"])
    return Imported.from_json(answer)


def _main() -> None:
    from bridge.calendar.liquid.importing import import_here

    asked: dict[str, str] = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        answer = import_here(**asked).as_json()
    except LiquidFault as fault:
        answer = {"fault": [fault.words, fault.line, fault.box]}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main()
