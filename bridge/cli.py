"""The command line: python -m bridge COMMAND."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

from bridge import __version__
from bridge.commands import check, destinations, forget, jobs, messages, move, subscribers, templates
from bridge.commands.asking import read_settings
from bridge.errors import BridgeError, InvalidValue, SettingsInvalid


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, or 1 with words on standard error, or 2 for a wrong call."""
    given = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except SettingsInvalid as faults:
        print(f"The environment is not right:\n{faults}", file=sys.stderr)
    except BridgeError as wrong:
        print(wrong, file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bridge", description="The Braze–Rokt bridge.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=words)
        sub.set_defaults(command=command)
        return sub

    add("run", _run, "web, worker and sandbox on this machine, without credentials")
    add("migrate", _migrate, "bring the database to this release; publish the files of templates/")
    add("worker", _worker, "deliver what the outbox holds, until SIGTERM")
    check.mount(commands)
    sandbox = add("sandbox", _sandbox, "stand-ins for Rokt and Braze, with faults to switch on")
    sandbox.add_argument("--port", type=int, default=8100)
    add("demo", _demo, "walk the whole path on a temporary database, and check what arrived")
    templates.mount(commands)
    move.mount(commands)
    messages.mount(commands)
    subscribers.mount(commands)
    jobs.mount(commands)
    destinations.mount(commands)
    forget.mount(commands)
    add("hash-password", _hash_password, "read a password and print the hash for CONSOLE_USERS")
    return parser


def _run(_given: argparse.Namespace) -> int:
    from bridge.local import run

    port = os.environ.get("PORT", "8000")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_535:
        raise InvalidValue(f"PORT is {port!r}; it has to be a number such as 8000")
    return run(port=int(port))


def _migrate(_given: argparse.Namespace) -> int:
    from bridge import log, schema
    from bridge.calendar.templates import publish_files
    from bridge.database import Database

    settings = read_settings()
    log.set_up(is_development=settings.is_development)
    database = Database(settings.database_url)
    revision = schema.migrate(database)
    faults = publish_files(database)
    database.close()
    print(f"The database is at revision {revision}.")
    for fault in faults:
        print(f"Not published: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _worker(_given: argparse.Namespace) -> int:
    from bridge import log, schema
    from bridge.calendar.templates import Templates
    from bridge.calendar.zones import use_pinned_tzdata
    from bridge.database import Database
    from bridge.destinations import configured
    from bridge.forget import Forget
    from bridge.job_runner import JobRunner
    from bridge.ledger.subscribers import SubscriberLedger
    from bridge.outbox.enqueue import Inbox
    from bridge.recall import Recall
    from bridge.rendering import Renderer
    from bridge.worker import Worker

    settings = read_settings()
    # The thread that settles and claims must not wait 5 ms for the interpreter at each of its statements.
    sys.setswitchinterval(0.0005)
    use_pinned_tzdata()
    log.set_up(is_development=settings.is_development)
    if not settings.is_development:
        log.warn_of_root()
    database = Database(settings.database_url, readers=1, process="worker")
    schema.wait_until_current(database)
    subscribers = SubscriberLedger(
        settings.subscribers.rule,
        syncs=settings.subscribers.syncs,
        looks_up=settings.calendar is not None,
        sends_unsubscribe=settings.subscribers.sends_unsubscribe,
    )
    inbox = Inbox(database, subscribers)
    destinations = configured(settings, inbox.accept_found)
    if not destinations:
        print("No destination is configured: the worker has nothing to do. See `check`.", file=sys.stderr)
    keep = timedelta(days=settings.retention_days)
    worker = Worker(database, destinations, settings.retry_for, keep)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    renderer = Renderer(database, Templates(database), settings.test_subscriptions)
    jobs = JobRunner(database, destinations, renderer.for_job, Recall(database, keep), Forget(database, keep))
    jobs.start()
    try:
        worker.run()
    finally:
        jobs.stop()
    for destination in destinations:
        destination.close()
    inbox.close()
    database.close()
    return 0


def _sandbox(given: argparse.Namespace) -> int:
    from bridge.sandbox import serve

    serve(given.port)
    return 0


def _demo(_given: argparse.Namespace) -> int:
    from bridge.demo import demo

    return demo()


def _hash_password(_given: argparse.Namespace) -> int:
    from werkzeug.security import generate_password_hash

    is_typed = sys.stdin.isatty()
    password = getpass.getpass("Password: ") if is_typed else sys.stdin.readline().rstrip("\n")
    if len(password) < 8:
        raise InvalidValue("A password needs 8 characters at least.")
    if len(password) > 256:
        raise InvalidValue("A password may have 256 characters at most.")
    if is_typed and getpass.getpass("Once more: ") != password:
        raise InvalidValue("The two are not the same.")
    print(generate_password_hash(password, method="scrypt"))
    return 0
