"""The short form of `make chaos`: real processes, killed as often as ten seconds allow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DATABASES

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", DATABASES)
def test_whatever_is_killed_nothing_is_lost_and_nothing_overtakes(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--short", "--database", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
