"""What docs/deploy.md has platforms run: the Procfile as Heroku does, the image's files, the systemd units."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
import yaml

from bridge.local import ask, free_port

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
PATIENCE = 40.0  # seconds


def on_heroku(database_url: str, dyno: str, **environ: str) -> dict[str, str]:
    """The environment of a dyno, and nothing of this process's."""
    given = {"PATH": f"{BIN}:/usr/bin:/bin", "DYNO": dyno, "DATABASE_URL": database_url, "LANG": "C.UTF-8"}
    keys = {"BRIDGE_TOKENS": "braze:a-secret-of-braze:send", "SECRET_KEY": "0123456789abcdef" * 4}
    return given | keys | environ


@contextmanager
def running(command: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environ,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def stopped(process: subprocess.Popen[str]) -> tuple[int, str]:
    """SIGTERM to all of a dyno's processes at once. The exit code, and what was logged."""
    os.killpg(process.pid, signal.SIGTERM)
    _, logged = process.communicate(timeout=30)
    return process.returncode, logged


def lines_until(word: str, stream: IO[str]) -> str:
    """What it says until it says this, or ends."""
    lines = ""
    while word not in lines and (line := stream.readline()):
        lines += line
    return lines


def wait_for_web(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


class TestHeroku:
    @pytest.fixture
    def url(self, postgresql_database_url: str) -> str:
        """In the form in which the add-on gives it."""
        return postgresql_database_url.replace("postgresql+psycopg://", "postgres://")

    def test_release_web_and_worker_run_as_the_procfile_says(self, url: str) -> None:
        release = subprocess.run(
            ["bash", "-c", PROCFILE["release"]],
            cwd=ROOT,
            env=on_heroku(url, "release.1"),
            capture_output=True,
            text=True,
            check=False,
        )
        port = free_port()
        rokt = {"ROKT_CALENDAR_CLIENT_ID": "an-id", "ROKT_CALENDAR_CLIENT_SECRET": "a-secret"}
        web = on_heroku(url, "web.1", PORT=str(port), WEB_CONCURRENCY="2", **rokt)
        body = {"event": {"event_id": "e", "title": "T", "start": "2090-12-01T09:00", "timezone": "UTC"}}
        body |= {
            "user_id": "u",
            "account_code": "shop",
            "subscription_ids": ["9a9007c7-0000-0000-0000-000000000000"],
        }

        # A worker without a destination has nothing to do: nobody is called from here.
        with (
            running(PROCFILE["web"], web) as first,
            running(PROCFILE["worker"], on_heroku(url, "worker.1")) as second,
        ):
            wait_for_web(port)
            headers = {"Authorization": "Bearer a-secret-of-braze", "Content-Type": "application/json"}
            status, answer = ask("POST", f"http://127.0.0.1:{port}/v1/calendar/events", body, headers)
            code, logged = stopped(first)
            assert second.stderr is not None
            told = lines_until("worker.started", second.stderr)
            worker_code, _ = stopped(second)

        assert release.returncode == 0, release.stderr
        assert (status, answer["state"]) == (202, "accepted")
        assert (code, worker_code) == (0, 0)
        assert "nothing to do" in told
        lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
        assert "request.answered" in {line["event"] for line in lines}

    def test_sqlite_is_refused_there(self) -> None:
        done = subprocess.run(
            ["bash", "-c", PROCFILE["release"]],
            cwd=ROOT,
            env=on_heroku("sqlite:///var/bridge.db", "release.1"),
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 1
        assert "heroku addons:create" in done.stderr

    def test_the_form_of_the_button_is_what_heroku_reads(self) -> None:
        form = json.loads((ROOT / "app.json").read_text("utf-8"))

        assert form.keys() <= {
            "name",
            "description",
            "keywords",
            "stack",
            "buildpacks",
            "addons",
            "formation",
            "env",
        }
        assert len(form["name"]) <= 30
        assert form["formation"].keys() == PROCFILE.keys() - {"release"}
        for variable in form["env"].values():
            assert variable.keys() <= {"description", "required", "generator", "value"}
        assert (ROOT / ".python-version").read_text().strip() in ("3.11", "3.12", "3.13")


class TestTheImage:
    def test_what_is_copied_is_all_that_runs(self, tmp_path: Path) -> None:
        for source in re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE):
            assert f"!{source}" in (ROOT / ".dockerignore").read_text().splitlines()
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(ROOT / source, tmp_path)
        environ = {"PATH": f"{BIN}:/usr/bin:/bin", "BRIDGE_ENV": "development"}
        environ |= {
            "DATABASE_URL": f"sqlite:///{tmp_path}/var/bridge.db",
            "GUNICORN_CMD_ARGS": "--check-config",
        }
        commands = ["python -m bridge migrate", PROCFILE["web"], "python -m bridge templates list"]

        done = [
            subprocess.run(
                ["bash", "-c", one], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
            )
            for one in commands
        ]

        assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
        assert "flash_sale" in done[2].stdout

    def test_it_serves_web_as_somebody_who_is_not_root(self) -> None:
        command = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[-1])
        [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)

        assert command == shlex.split(PROCFILE["web"])
        assert int(user) > 0
        assert "--require-hashes -r requirements.txt" in DOCKERFILE


class TestSystemd:
    @pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
    def test_a_unit_starts_what_there_is(self, path: Path) -> None:
        service = read_unit(path)["Service"]
        commands = [service["ExecStart"], service.get("ExecStartPre", service["ExecStart"])]

        for command in commands:
            program, *arguments = shlex.split(command.removeprefix("-"))
            name = program.removeprefix("/opt/bridge/.venv/bin/")
            assert (BIN / name).exists()
            told = " ".join([name, *arguments]).replace(" --bind 127.0.0.1:8000", "")
            assert told in {" ".join(shlex.split(one)) for one in PROCFILE.values()}

    @pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
    def test_a_unit_runs_as_nobody_much_and_has_time_to_stop(self, path: Path) -> None:
        service = read_unit(path)["Service"]

        assert service["User"] == "bridge"
        assert service["EnvironmentFile"] == "/etc/bridge.env"
        assert service["NoNewPrivileges"] == "yes"
        assert service["ProtectSystem"] == "strict"
        assert int(service["TimeoutStopSec"]) >= 30  # a worker takes 25 seconds at most, and so does gunicorn

    def test_there_is_one_for_each_process(self) -> None:
        assert [path.name for path in UNITS] == ["bridge-web.service", "bridge-worker@.service"]


def read_unit(path: Path) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(path, "utf-8")
    return unit


class TestCompose:
    SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]

    def test_each_process_runs_what_the_procfile_says(self) -> None:
        commands = {name: self.SERVICES[name].get("command") for name in ("web", "worker", "migrate")}

        assert commands["web"] is None  # the image's own
        assert commands["worker"] == shlex.split(PROCFILE["worker"])
        assert commands["migrate"] == shlex.split(PROCFILE["release"])

    def test_none_may_write_or_rise(self) -> None:
        for name in ("web", "worker", "migrate"):
            assert self.SERVICES[name]["read_only"] is True
            assert self.SERVICES[name]["cap_drop"] == ["ALL"]
            assert self.SERVICES[name]["stop_grace_period"] == "30s"
        assert self.SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]


def test_nginx_leaves_paths_as_they_came() -> None:
    lines = [
        line.strip() for line in (ROOT / "deploy" / "nginx" / "bridge.conf").read_text("utf-8").splitlines()
    ]

    assert "merge_slashes off;" in lines
    assert [line for line in lines if line.startswith("proxy_pass ")] == ["proxy_pass http://bridge;"]
    assert "proxy_set_header Host $http_host;" in lines
