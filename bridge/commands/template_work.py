"""What the commands of templates.py do."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge import log, schema
from bridge.calendar import versions
from bridge.calendar.admission import MOST_NOTE, NAME
from bridge.calendar.engine import compile_template
from bridge.calendar.event import FIELDS, CalendarEvent, parse_fields
from bridge.calendar.plan import CalendarRequest, first_step
from bridge.calendar.versions.files import FOLDER, read_folder
from bridge.database import UNAVAILABLE, Database
from bridge.errors import Answerable, InvalidValue
from bridge.settings import CALENDAR_URL, Settings
from bridge.web.template_json import entry_shown

BY = "command line"
# Whom a request is for is not known here.
ACCOUNT, USER, SUBSCRIPTION = "{account_code}", "{user_id}", "{subscription_id}"


def render(given: argparse.Namespace) -> int:
    """Print the event's fields and Rokt's request, or the reason of a skip. Errors: InvalidValue, TemplateFault."""
    variables = _variables(given.data)
    name = Path(given.template).name.removesuffix(".jinja")
    texts = _texts(name, given.version)
    rendered = compile_template(name, texts).render(variables, datetime.now(UTC))
    if rendered.skip is not None:
        _print({"skip": rendered.skip})
        return 0
    fields = {field: text for field, text in rendered.fields.items() if field in FIELDS}
    try:
        event = CalendarEvent.of(parse_fields(fields, prefix=""), prefix="")
    except Answerable as wrong:
        raise InvalidValue(f"{name}.jinja: {wrong.detail}") from wrong
    _print({"fields": dict(rendered.fields), "request": _request(rendered.fields["event_id"], event)})
    for warning in event.warnings():
        print(f"Warning: {warning}", file=sys.stderr)
    return 0


def list_all(_given: argparse.Namespace) -> int:
    with _database() as database, database.browse() as connection:
        _print({"templates": [entry_shown(entry) for entry in versions.entries(connection)]})
    return 0


def publish(given: argparse.Namespace) -> int:
    """The draft, or with `--file`, or where no draft stands, the file; with a file, files govern from then on."""
    if len(given.note) > MOST_NOTE:
        raise InvalidValue(f"The note has {len(given.note):,} characters; {MOST_NOTE} are the most.")
    with _database() as database:
        with database.browse() as connection:
            stands = versions.draft(connection, given.name)
            published = versions.published_versions(connection).get(given.name)
        if stands is not None and not given.file:
            version = versions.publish(
                database,
                given.name,
                by=BY,
                origin=stands.origin,
                revision=stands.revision,
                note=given.note,
                over=given.over,
            )
            print(f"{given.name}: version {version} is published, from the draft of {_who(stands)}.")
            return 0
        source = _file(given.name)
        if published is not None and published.source == source and not given.file:
            raise InvalidValue(
                f"There is no draft of {given.name}, and its file is as version {published.version}, "
                "which is published: there is nothing to publish."
            )
        version = versions.publish_source(database, given.name, source, by=BY, origin="file", note=given.note)
        print(f"{given.name}: version {version} is published, from its file.")
    return 0


def pull(_given: argparse.Namespace) -> int:
    """Write each published source to its file where it differs; nothing is deleted."""
    files, _ = read_folder(FOLDER)
    with _database() as database, database.browse() as connection:
        published = versions.published_versions(connection)
    as_published = 0
    for name, version in sorted(published.items()):
        if files.get(name) == version.source:
            as_published += 1
        elif not NAME.fullmatch(name):
            print(f"{name!r} is no name of a file here: left out.", file=sys.stderr)
        else:
            (FOLDER / f"{name}.jinja").write_bytes(version.source.encode())
            print(f"templates/{name}.jinja: written, version {version.version}")
    for name in sorted(files.keys() - published.keys()):
        print(f"templates/{name}.jinja: not published, left as it is")
    print(f"{as_published} of {len(published)} were as published already.")
    return 0


def _variables(file: str) -> dict[str, Any]:
    try:
        variables = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
    except (OSError, ValueError) as wrong:
        raise InvalidValue(f"{file} cannot be read as JSON: {wrong}") from wrong
    if not isinstance(variables, dict):
        raise InvalidValue(f"{file} holds no object of variables")
    return variables


def _texts(name: str, version: int | None) -> dict[str, str]:
    """The files; or, for a version, what is published with that version in it."""
    if version is None:
        files, faults = read_folder(FOLDER)
        if name not in files and faults:
            raise InvalidValue("\n".join(faults))
        return files
    with _database() as database, database.browse() as connection:
        source = versions.version_source(connection, name, version)
        if source is None:
            raise InvalidValue(versions.no_version(connection, name, version))
        return versions.sources(connection) | {name: source}


def _file(name: str) -> str:
    files, faults = read_folder(FOLDER)
    if name not in files:
        raise InvalidValue("\n".join([f"There is no file templates/{name}.jinja, and no draft.", *faults]))
    return files[name]


def _request(event_id: str, event: CalendarEvent) -> dict[str, Any]:
    asked = CalendarRequest(
        "create", ACCOUNT, f"{event_id}_{USER}", (SUBSCRIPTION,), event.content(), is_whole=True
    )
    step = first_step(asked)
    url = (os.environ.get("ROKT_CALENDAR_URL") or CALENDAR_URL).rstrip("/")
    path = step.path.replace(quote(ACCOUNT, safe=""), ACCOUNT)
    return {"method": step.method, "url": url + path, "body": step.body}


def _who(stands: versions.Draft) -> str:
    return stands.edited_by or "a file that arrived"


@contextmanager
def _database() -> Iterator[Database]:
    """Errors: InvalidValue where it is older than this release or cannot be reached."""
    settings = Settings.from_env(os.environ)
    log.set_up(is_development=settings.is_development)
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not schema.is_current(connection):
                raise InvalidValue(schema.OLDER)
        yield database
    except UNAVAILABLE as down:
        raise InvalidValue(
            f"The database is not reachable ({type(down.__cause__ or down).__name__})."
        ) from down
    finally:
        database.close()


def _print(answer: Any) -> None:
    # What was sent may hold half of a character, which no terminal can show.
    shown = json.dumps(answer, indent=2, ensure_ascii=False)
    print(shown.encode("utf-8", "replace").decode())
