"""Runs an import where it can do no harm: a body that was pasted may loop, or be made to."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

# Not by way of `os`, where gevent puts its own, which need the hub of the thread that calls.
from posix import posix_spawn, waitpid
from typing import Any

import bridge
from bridge.calendar.liquid.pasted import check_size
from bridge.calendar.liquid.results import Imported, LiquidFault

CPU_SECONDS = 3
ENDS_WITHIN = 10  # seconds on the clock, for a busy machine
MEMORY_BYTES = 512 * 1024 * 1024
NICENESS = 5  # live requests come first


def import_liquid(text: str, *, name: str, url: str = "", headers: str = "") -> Imported:
    """A template named `name` of what stands in a Braze webhook's three boxes. Errors: LiquidFault.

    It waits for a child process: in the web process, call it aside.
    """
    check_size(text, url, headers)
    asked = json.dumps({"text": text, "name": name, "url": url, "headers": headers})
    answered = _exchange(asked.encode("utf-8", "replace"))
    if not answered.endswith(b"\n"):
        words = (
            f"this took more than {CPU_SECONDS} s or 512 MB to read and to try: "
            "is something opened and not closed, or a loop too long?"
        )
        raise LiquidFault(words)
    answer: dict[str, Any] = json.loads(answered)
    if "fault" in answer:
        raise LiquidFault(*answer["fault"])
    return Imported.from_json(answer)


def _exchange(asked: bytes) -> bytes:
    """What a child process answers; nothing, or a part without its line's end, if it was ended."""
    there, write = os.pipe()
    read, back = os.pipe()
    # No secret of ours: what runs in there is anybody's text.
    root = str(Path(bridge.__file__).resolve().parent.parent)
    environ = {"PATH": os.defpath, "PYTHONPATH": root, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
    try:
        child = posix_spawn(
            sys.executable,
            [sys.executable, "-m", "bridge.calendar.liquid.child"],
            environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, there, 0),
                (os.POSIX_SPAWN_DUP2, back, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
        )
    except OSError:
        os.close(write)
        os.close(read)
        raise
    finally:
        os.close(there)
        os.close(back)
    try:
        with suppress(BrokenPipeError), os.fdopen(write, "wb") as to_child:
            to_child.write(asked)
        with os.fdopen(read, "rb") as from_child:
            return from_child.read()
    finally:
        with suppress(ChildProcessError):
            waitpid(child, 0)


def _main() -> None:
    # The kernel ends it, as nothing in Python could.
    signal.alarm(ENDS_WITHIN)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked: dict[str, str] = json.load(sys.stdin)
    from bridge.calendar.liquid.importing import import_here
    from bridge.calendar.zones import use_pinned_tzdata

    use_pinned_tzdata()
    try:
        answer = import_here(**asked).as_json()
    except LiquidFault as fault:
        answer = {"fault": [fault.words, fault.line, fault.box]}
    except RecursionError:
        answer = {"fault": ["something here is nested too deeply", None, "body"]}
    except Exception as error:  # noqa: BLE001 - whatever was pasted: without a word it would look like a time limit
        words = f"the bridge failed on this, which is its own fault ({type(error).__name__}): leave out a part of it"
        answer = {"fault": [words, None, "body"]}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
