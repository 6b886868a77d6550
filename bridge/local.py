"""The whole bridge on one machine: web, worker and sandbox as processes of their own, without credentials."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from werkzeug.security import generate_password_hash

from bridge.errors import InvalidValue

KEY_NAME, KEY = "local", "local-key"
WEBHOOK_KEY = "local-webhook-secret"
USER, PASSWORD = "local", "local-password"  # of the console
STARTS_WITHIN = 30.0  # seconds
STOPS_WITHIN = 28.0  # seconds
PARENT_DIED = 1  # PR_SET_PDEATHSIG of prctl(2)

CURL = """\
curl -i {web}/v1/calendar/events \\
  -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
  -d '{{"template": "flash_sale", "user_id": "u-1",
       "account_code": ["brazetest/f5733866ade2"],
       "subscription_ids": ["06423672-b6ba-4536-aa36-f5733866ade2"],
       "variables": {{"sale_id": "sale-'$(date +%s)'", "starts": "2027-12-03T09:00",
                     "first_name": "Ada", "discount": "50"}}}}'
"""
ROKT_CURL = """\
curl -i {web}/v1/rokt/webhooks/{key} \\
  -H 'Content-Type: application/json' \\
  -d '{{"eventId": "subscribe-'$(date +%s)'", "eventType": "Subscribe",
       "eventDetails": {{"accountCode": "brazetest", "subscription": {{
         "calendarSubscriptionId": "06423672-b6ba-4536-aa36-ad'$(date +%s)'",
         "calendarCode": "test-calendar-1", "calendarTitle": "Test Calendar 1",
         "subscriptionMethod": "Webcal", "subscriberId": "u-1"}}}}}}'
"""


@dataclass(frozen=True)
class Local:
    """Addresses of the running processes, and their ids by name."""

    web: str
    sandbox: str
    processes: dict[str, subprocess.Popen[bytes]]


def run(port: int) -> int:
    """Serve until Ctrl-C. Returns the exit code: 1 when one of the processes ended by itself."""
    database = os.environ.get("DATABASE_URL", "sqlite:///var/bridge.db")
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        with running(port, port + 1, database) as local:
            print(_welcome(local), flush=True)
            while all(process.poll() is None for process in local.processes.values()):
                time.sleep(0.3)
            ended = [name for name, process in local.processes.items() if process.poll() is not None]
            print(f"{', '.join(ended)} ended; stopping the rest.", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


@contextmanager
def running(port: int, sandbox_port: int, database_url: str, *, quiet: bool = False) -> Iterator[Local]:
    """Migrate, then run sandbox, worker and web until the block ends. Errors: InvalidValue with the reason."""
    for wanted in (port, sandbox_port):
        if not _is_free(wanted):
            raise InvalidValue(f"Port {wanted} is taken; choose another: make run PORT={wanted + 1000}")
    web, sandbox = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    environ = os.environ | {
        "BRIDGE_ENV": "development",
        "BRIDGE_TOKENS": f"{KEY_NAME}:{KEY}",
        "CONSOLE_USERS": f"{USER}:{generate_password_hash(PASSWORD, method='scrypt')}",
        "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets.token_hex(32),
        "DATABASE_URL": database_url,
        "PORT": str(port),
        "ROKT_CALENDAR_URL": sandbox,
        "ROKT_CALENDAR_CLIENT_ID": "sandbox",
        "ROKT_CALENDAR_CLIENT_SECRET": "sandbox",
        "ROKT_WEBHOOK_SECRET": WEBHOOK_KEY,
        "ROKT_EVENTS_URL": f"{sandbox}/v2",
        "ROKT_EVENTS_KEY": "sandbox",
        "ROKT_EVENTS_SECRET": "sandbox",
        "ROKT_EVENTS_ENVIRONMENT": "development",
        "ROKT_ACCOUNT_ID": "sandbox",
        "ROKT_API_KEY": "sandbox",
        "ROKT_API_SECRET": "sandbox",
        "ROKT_API_URL": f"{sandbox}/api.rokt.com",
        "ROKT_APP_ID": "sandbox",
        "ROKT_APP_SECRET": "sandbox",
        "ROKT_AUDIENCE_URL": sandbox,
        "BRAZE_REST_URL": sandbox,
        "BRAZE_API_KEY": "sandbox",
        "ROKT_OFFERS_URL": sandbox,
        "ROKT_PUB_ID": "sandbox",
        "ROKT_SECRET": "sandbox",
        "ROKT_TAG_ID": "1234567890",
        "PYTHONUNBUFFERED": "1",
    }
    bridge = [sys.executable, "-m", "bridge"]
    noise = subprocess.DEVNULL if quiet else None
    migrate = [*bridge, "migrate"]
    if subprocess.run(migrate, env=environ, check=False, stdout=subprocess.DEVNULL, stderr=noise).returncode:
        raise InvalidValue("The database or templates/ could not be made ready; see above for the reason.")
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
    commands = {
        "sandbox": [*bridge, "sandbox", "--port", str(sandbox_port)],
        "worker": [*bridge, "worker"],
        "web": [*gunicorn, "bridge.app:create_app()"],
    }
    processes = {name: _start(command, environ, quiet) for name, command in commands.items()}
    try:
        for address in (f"{sandbox}/", f"{web}/readyz"):
            _wait_for(address, processes)
        yield Local(web, sandbox, processes)
    finally:
        _stop(list(processes.values()))


def ask(
    method: str, address: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """One HTTP call to a process of this machine. Returns the status and the JSON."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers or {}, method=method)  # noqa: S310  loopback only
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read() or b"null")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _welcome(local: Local) -> str:
    return (
        f"\nThe bridge listens on {local.web}, its outbox is delivered by a worker beside it.\n"
        f"The sandbox stands in for Rokt and Braze; what reaches it is listed at {local.sandbox}/\n\n"
        f"The console is at {local.web}/console/ – sign in as {USER} with the password {PASSWORD}\n"
        f"What it takes and answers, with lines to paste: {local.web}/docs\n\n"
        f"Send a first Braze webhook from another terminal:\n\n{CURL.format(web=local.web, key=KEY)}\n"
        f"Look at what became of it:\n\n"
        f"curl -H 'Authorization: Bearer {KEY}' '{local.web}/v1/messages?limit=1'\n\n"
        "And play Rokt, which tells the bridge of a subscriber; a moment later the user's profile stands under\n"
        f'"In Braze" at {local.sandbox}/\n\n'
        f"{ROKT_CURL.format(web=local.web, key=WEBHOOK_KEY)}\n"
        "Ctrl-C stops everything.\n"
    )


def _start(command: list[str], environ: dict[str, str], quiet: bool) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
    output = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(
        command,
        env=environ,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGTERM)


def _wait_for(address: str, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if ended := [name for name, process in processes.items() if process.poll() is not None]:
            raise InvalidValue(f"{', '.join(ended)} ended at its start; see above for the reason")
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310  loopback only
                return
        except OSError:
            time.sleep(0.1)
    raise InvalidValue(f"{address} did not answer within {STARTS_WITHIN:.0f} s")


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """The web first, then the worker, the sandbox last: what is in flight is still answered."""
    until = time.monotonic() + STOPS_WITHIN
    for process in reversed(processes):
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _as_interrupt(*_signal: object) -> None:
    raise KeyboardInterrupt
