"""What tests run on Node: packages installed as their lock names them, and a server that prints its port."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

OIDC_PROVIDER = Path(__file__).parent / "oidc_provider"
INSTALL = ["npm", "ci", "--no-audit", "--no-fund"]


def installed(folder: Path) -> Path:
    """The folder with its packages, installed once by whichever process of the tests comes first."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: install Node.js 20 or newer (`apt-get install nodejs npm`)")
    named, there = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with named.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not there.exists() or there.stat().st_mtime < named.stat().st_mtime:
            done = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.fail(f"run `cd {folder} && {' '.join(INSTALL)}`: {done.stderr}")
    return folder


@contextmanager
def running_server(folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The address of the folder's server.mjs, which ends with its input."""
    with subprocess.Popen(
        ["node", "server.mjs"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        port = next((line.strip() for line in lines if line.strip().isdigit()), None)
        assert port is not None, "the server did not start"
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(10)
