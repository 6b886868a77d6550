"""What the bridge imports is what requirements.txt installs: the tests' own tools must not stand in for it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONAL = {"pygments", "rich", "attr", "_distutils_hack"}  # used if it is there; of the environment itself
LOADED = (
    "import sys, bridge.app, bridge.cli, bridge.demo, bridge.destinations, bridge.sandbox.server, bridge.worker;"
    "import gunicorn.app.wsgiapp, psycopg;"
    "print(*{name.partition('.')[0] for name in sys.modules})"
)


def test_all_that_is_imported_is_required() -> None:
    required = set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    distributions = packages_distributions()

    missing = {
        module: distributions[module]
        for module in done.stdout.split()
        if module in distributions.keys() - OPTIONAL
        and not {_plain(one) for one in distributions[module]} & required
    }

    assert missing == {}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
