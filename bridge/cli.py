"""The command line: python -m bridge COMMAND."""

from __future__ import annotations

import argparse
import getpass
import io
import json
import logging
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from bridge import __version__, forget_command, move_command, template_commands
from bridge.errors import BridgeError, InvalidValue, SettingsInvalid
from bridge.message import FILTERS


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
    check = add(
        "check", _check, "tell every fault of settings and database; with --connect ask each upstream"
    )
    check.add_argument(
        "--connect", action="store_true", help="one authenticated call to each configured upstream"
    )
    sandbox = add("sandbox", _sandbox, "stand-ins for Rokt and Braze, with faults to switch on")
    sandbox.add_argument("--port", type=int, default=8100)
    add("demo", _demo, "walk the whole path on a temporary database, and check what arrived")
    template_commands.mount(commands)
    move_command.mount(commands)
    messages = add("messages", lambda _given: 2, "list, show, replay or cancel messages")
    kinds = messages.add_subparsers(required=True, metavar="list|show|replay|cancel")
    listing = kinds.add_parser("list", help="the newest first")
    listing.set_defaults(command=_list_messages)
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=50)
    show = kinds.add_parser("show", help="one message with its attempts")
    show.set_defaults(command=_show_message)
    show.add_argument("id")
    again = kinds.add_parser("replay", help="send a settled message again, or all that a filter finds")
    again.set_defaults(command=_replay_messages)
    again.add_argument("id", nargs="?")
    again.add_argument(
        "--render", choices=["current"], help="render its payload with the version published now"
    )
    again.add_argument("--force", action="store_true", help="even if a later one of its event was delivered")
    cancel = kinds.add_parser("cancel", help="end what waits and is not under way, by a filter")
    cancel.set_defaults(command=_cancel_messages)
    for bulk in (again, cancel):
        _add_filters(bulk)
        bulk.add_argument("--dry-run", action="store_true", help="only count")
    subscribers = add(
        "subscribers", lambda _given: 2, "import, list, show or count the subscribers that are known"
    )
    kinds = subscribers.add_subparsers(required=True, metavar="import|list|show|counts")
    known = kinds.add_parser("import", help="take in what Braze holds already, from an export of its users")
    known.set_defaults(command=_import_subscribers)
    known.add_argument(
        "file", metavar="FILE", help='JSON lines, a JSON array or CSV; "-" reads standard input'
    )
    listing = kinds.add_parser("list", help="by subscription id")
    listing.set_defaults(command=_list_subscribers)
    for name in SUBSCRIBER_FILTERS:
        listing.add_argument(f"--{name.replace('_', '-')}")
    listing.add_argument("--limit", type=int, default=50)
    show = kinds.add_parser("show", help="one subscription")
    show.set_defaults(command=_show_subscriber)
    show.add_argument("id", help="the subscription's id")
    kinds.add_parser("counts", help="how many, in each state").set_defaults(command=_count_subscribers)
    jobs = add("jobs", lambda _given: 2, "list, show or cancel jobs: replays and cancels of many messages")
    kinds = jobs.add_subparsers(required=True, metavar="list|show|cancel")
    kinds.add_parser("list", help="the newest first").set_defaults(command=_list_jobs)
    for name, command, words in (
        ("show", _show_job, "how far it is"),
        ("cancel", _cancel_job, "stop it where it is"),
    ):
        job = kinds.add_parser(name, help=words)
        job.set_defaults(command=command)
        job.add_argument("id")
    destinations = add("destinations", lambda _given: 2, "list, pause or resume destinations")
    kinds = destinations.add_subparsers(required=True, metavar="list|pause|resume")
    kinds.add_parser("list", help="state and backlog of each").set_defaults(command=_list_destinations)
    for verb, words in (("pause", "let nothing out"), ("resume", "let out what waits")):
        one = kinds.add_parser(verb, help=words)
        one.set_defaults(command=_set_destination, verb=verb)
        one.add_argument("name")
    forget_command.mount(commands, _call)
    add("hash-password", _hash_password, "read a password and print the hash for CONSOLE_USERS")
    return parser


SUBSCRIBER_FILTERS = ("user_id", "subscription_id", "state", "cursor")
IMPORTED_AT_ONCE = 500  # subscriptions of one transaction
FAULTS_SHOWN = 20
FATES_TOLD = {  # of a subscription that is imported: what a person has to look at
    "of_another_user": "a subscription of this user is another user's here; what Braze holds of it is noted",
    "of_a_second_choice": (
        "a subscription of this user belongs here to the profile of an e-mail address or of an alias; "
        "it is left as it is"
    ),
}


def _add_filters(parser: argparse.ArgumentParser) -> None:
    for name in FILTERS:
        parser.add_argument(f"--{name.replace('_', '-')}")


def _settings(*, is_web: bool = False) -> Any:
    from bridge.settings import Settings

    return Settings.from_env(os.environ, is_web=is_web)


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

    settings = _settings()
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

    settings = _settings()
    # The thread that settles and claims must not wait 5 ms for the interpreter at each of its statements.
    sys.setswitchinterval(0.0005)
    use_pinned_tzdata()
    log.set_up(is_development=settings.is_development)
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


def _check(given: argparse.Namespace) -> int:
    from bridge import schema
    from bridge.database import UNAVAILABLE, Database
    from bridge.destinations import DESTINATIONS, configured
    from bridge.errors import UpstreamTrouble

    faults: list[str] = []
    try:
        settings = _settings(is_web=True)
    except SettingsInvalid as wrong:
        print(f"The environment is not right:\n{wrong}", file=sys.stderr)
        return 1
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not schema.is_current(connection):
                faults.append(schema.OLDER)
    except UNAVAILABLE as down:
        faults.append(f"the database is not reachable ({type(down.__cause__ or down).__name__})")
    database.close()
    destinations = {destination.name: destination for destination in configured(settings)}
    for name in DESTINATIONS:
        print(f"{name}: {'configured' if name in destinations else 'off, its variables are not set'}")
    for name, destination in destinations.items() if given.connect else ():
        for account, found in destination.check().items():
            told = f"{name}{f' ({account})' if account else ''}: {found}"
            if isinstance(found, UpstreamTrouble):
                faults.append(told)
            else:
                print(told)
        destination.close()
    faults += _check_offers(settings, connect=given.connect)
    faults += _check_console(settings, connect=given.connect)
    for fault in faults:
        print(f"- {fault}", file=sys.stderr)
    if not faults:
        print("Everything is as it should be.")
    return 1 if faults else 0


def _check_offers(settings: Any, *, connect: bool) -> list[str]:
    from bridge.errors import UpstreamTrouble
    from bridge.offers import Offers

    print(f"offers: {'configured' if settings.offers else 'off, its variables are not set'}")
    if not connect or settings.offers is None:
        return []
    offers = Offers(settings.offers, allow_http=settings.is_development)
    try:
        print(f"offers: {offers.check()}")
    except UpstreamTrouble as trouble:
        return [f"offers: {trouble}"]
    finally:
        offers.close()
    return []


def _check_console(settings: Any, *, connect: bool) -> list[str]:
    from bridge.errors import UpstreamTrouble
    from bridge.upstream.oidc import OpenIdProvider

    users, oidc = settings.console.users, settings.console.oidc
    ways = [f"{len(users)} by password"] if users else []
    ways += [f"those whom {oidc.issuer} knows"] if oidc else []
    print(f"console: {'open to ' + ' and '.join(ways) if ways else 'off, its variables are not set'}")
    if not connect or oidc is None:
        return []
    allow_http = settings.is_development
    provider = OpenIdProvider(oidc.issuer, oidc.client_id, oidc.client_secret.reveal(), allow_http=allow_http)
    try:
        print(f"console: {provider.check()}")
    except UpstreamTrouble as trouble:
        return [f"console: {trouble}"]
    return []


def _sandbox(given: argparse.Namespace) -> int:
    from bridge.sandbox import serve

    serve(given.port)
    return 0


def _demo(_given: argparse.Namespace) -> int:
    from bridge.demo import demo

    return demo()


def _list_messages(given: argparse.Namespace) -> int:
    return _call("GET", "/v1/messages", {**_filters(given), "limit": str(given.limit)})


def _show_message(given: argparse.Namespace) -> int:
    return _call("GET", f"/v1/messages/{quote(given.id, safe='')}", {})


def _replay_messages(given: argparse.Namespace) -> int:
    options = {"render": given.render or "", "force": "1" if given.force else ""}
    if given.id is None:
        return _create_job("replay", given, options)
    if _filters(given) or given.dry_run:
        raise InvalidValue("Give the id of one message, or filters for many; --dry-run is for many.")
    return _call("POST", f"/v1/messages/{quote(given.id, safe='')}/replay", options)


def _cancel_messages(given: argparse.Namespace) -> int:
    return _create_job("cancel", given, {})


def _create_job(kind: str, given: argparse.Namespace, options: dict[str, str]) -> int:
    query = {**options, "dry_run": "1" if given.dry_run else ""}
    return _call("POST", f"/v1/messages/{kind}", query, _filters(given))


def _import_subscribers(given: argparse.Namespace) -> int:
    from bridge import schema
    from bridge.database import UNAVAILABLE, Database

    settings = _settings()
    if settings.subscribers.rule.subscriber_id != "external_id":
        raise InvalidValue("ROKT_SUBSCRIBER_ID is not external_id, by which an export names its users")
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not schema.is_current(connection):
                raise InvalidValue(schema.OLDER)
        if given.file == "-":
            stdin = io.TextIOWrapper(sys.stdin.buffer, "utf-8", errors="surrogateescape", newline="")
            return _import(database, stdin)
        with Path(given.file).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return _import(database, file)
    except OSError as wrong:
        raise InvalidValue(f"{given.file} cannot be read: {wrong.strerror}") from wrong
    except UNAVAILABLE as down:
        reason = type(down.__cause__ or down).__name__
        raise InvalidValue(
            f"The database is not reachable ({reason}). Once it is, import the same again: "
            "what was taken in before is left as it is."
        ) from down
    finally:
        database.close()


def _import(database: Any, file: TextIO) -> int:
    """Piece by piece, each in a transaction of its own: whoever waits for one waits for milliseconds."""
    from bridge.ledger.subscriber_import import import_known
    from bridge.outbox.tables import key_of, lock_keys
    from bridge.subscribers.facts import key_of_subscription

    tally: Counter[str] = Counter()
    for piece in _exported(file, tally):
        with database.write() as connection:
            keys = {key_of_subscription(one.given_id) for _, one in piece}
            now = lock_keys(connection, [key_of("subscription", key) for key in keys])
            fates = import_known(connection, [one for _, one in piece], now)
        tally.update(fates)
        told = {(line, fate) for (line, _), fate in zip(piece, fates, strict=True) if fate in FATES_TOLD}
        for line, fate in sorted(told):
            _tell(tally, line, FATES_TOLD[fate])
    if (untold := tally["wrong"] - FAULTS_SHOWN) > 0:
        print(f"… and {untold:,} more.", file=sys.stderr)
    known = tally["found"] - tally["imported"]
    print(
        f"{tally['users']:,} users read: {tally['subscribed']:,} with subscriptions, {tally['wrong']:,} wrong.\n"
        f"{tally['found']:,} subscriptions found: {tally['imported']:,} imported, {known:,} known before, "
        f"{tally['filled']:,} of them with what Braze holds of them."
    )
    return 1 if tally["wrong"] else 0


def _exported(file: TextIO, tally: Counter[str]) -> Iterator[list[tuple[int, Any]]]:
    """The subscriptions of an export with their lines, in pieces; what is wrong is told and counted."""
    from bridge.subscribers.export import pair, read_user
    from bridge.subscribers.export_file import records

    piece: list[tuple[int, Any]] = []
    for line, record in records(file):
        tally["users"] += 1
        try:
            user = read_user(record)
            found = pair(user) if user else []
        except InvalidValue as wrong:
            _tell(tally, line, str(wrong))
            continue
        tally["subscribed"] += bool(found)
        tally["found"] += len(found)
        piece += [(line, one) for one in found]
        if len(piece) >= IMPORTED_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def _tell(tally: Counter[str], line: int, wrong: str) -> None:
    tally["wrong"] += 1
    if tally["wrong"] <= FAULTS_SHOWN:
        print(f"Line {line}: {wrong}", file=sys.stderr)


def _list_subscribers(given: argparse.Namespace) -> int:
    filters = {name: value for name in SUBSCRIBER_FILTERS if (value := getattr(given, name)) is not None}
    return _call("GET", "/v1/subscribers", {**filters, "limit": str(given.limit)})


def _show_subscriber(given: argparse.Namespace) -> int:
    status, answer = _ask("GET", "/v1/subscribers", {"subscription_id": given.id})
    if status < 400:
        if not answer["subscribers"]:
            raise InvalidValue("There is no such subscription.")
        [answer] = answer["subscribers"]
    return _print(status, answer)


def _count_subscribers(_given: argparse.Namespace) -> int:
    return _call("GET", "/v1/subscribers/counts", {})


def _list_jobs(_given: argparse.Namespace) -> int:
    return _call("GET", "/v1/jobs", {})


def _show_job(given: argparse.Namespace) -> int:
    return _call("GET", f"/v1/jobs/{quote(given.id, safe='')}", {})


def _cancel_job(given: argparse.Namespace) -> int:
    return _call("DELETE", f"/v1/jobs/{quote(given.id, safe='')}", {})


def _filters(given: argparse.Namespace) -> dict[str, str]:
    """What was given, blank or not: a blank is for the API to judge."""
    return {name: value for name in FILTERS if (value := getattr(given, name)) is not None}


def _list_destinations(_given: argparse.Namespace) -> int:
    return _call("GET", "/v1/destinations", {})


def _set_destination(given: argparse.Namespace) -> int:
    return _call("POST", f"/v1/destinations/{quote(given.name, safe='')}/{given.verb}", {})


def _call(method: str, path: str, query: dict[str, str], body: dict[str, str] | None = None) -> int:
    return _print(*_ask(method, path, query, body))


def _ask(
    method: str, path: str, query: dict[str, str], body: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Ask the application itself, in this process, as its operator: the same answers as the API's."""
    from bridge import log
    from bridge.app import create_app
    from bridge.settings import InboundKey, Secret

    settings = _settings()
    operator = InboundKey("command line", Secret(os.urandom(16).hex()), frozenset({"read", "operate"}))
    app = create_app(replace(settings, keys=(operator,)))
    if method == "GET":  # the answer says it all
        log.set_up(is_development=settings.is_development, least=logging.WARNING)
    headers = {"Authorization": f"Bearer {operator.secret.reveal()}"}
    asked = {name: value for name, value in query.items() if value}
    answer = app.test_client().open(path, method=method, query_string=asked, headers=headers, json=body)
    parts = app.extensions["bridge"]
    parts.inbox.close()
    parts.database.close()
    return answer.status_code, answer.get_json()


def _print(status: int, answer: Any) -> int:
    # What a caller sent may hold half of a character, which no terminal can show.
    shown = json.dumps(answer, indent=2, ensure_ascii=False)
    print(shown.encode("utf-8", "replace").decode())
    return 0 if status < 400 else 1


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
