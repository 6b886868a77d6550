"""What is installed is what was pinned, by its hash; and the process is nobody's but its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.log import warn_of_root

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^[a-zA-Z0-9._-]+(?:\[[a-z,]+\])?==[^ ;\\]+")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements/dev.txt"])
def test_every_requirement_is_pinned_with_its_hashes(name: str) -> None:
    lines = re.sub(r"\\\n", " ", (ROOT / name).read_text("utf-8")).splitlines()
    requirements = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    assert len(requirements) > 20
    assert [line for line in requirements if not (PIN.match(line) and "--hash=sha256:" in line)] == []


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_whatever_installs_asks_for_the_hashes(name: str) -> None:
    installs = [
        line
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if re.search(r"pip install\b.* -r ", line)
    ]

    assert installs
    assert [line for line in installs if "--require-hashes" not in line] == []


def test_what_is_installed_fits_together() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("user", "warnings"), [(0, ["process.is_root"]), (10001, [])])
def test_a_process_that_may_do_anything_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, user: int, warnings: list[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)

    with capture_logs() as logged:
        warn_of_root()

    assert [line["event"] for line in logged] == warnings
