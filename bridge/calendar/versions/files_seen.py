"""What stood in each file of `templates/` when it was last read: only what differs from that is new."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.calendar.tables import template_files, template_versions
from bridge.rows import upsert

_versions = template_versions.c


def files_seen(connection: Connection) -> dict[str, str]:
    """The digest of each file as it was last read, by this release or by one that only made versions of them."""
    newest = (
        sa.select(_versions.name, sa.func.max(_versions.version).label("version"))
        .where(_versions.origin == "file")
        .group_by(_versions.name)
        .subquery()
    )
    of_versions = connection.execute(
        sa.select(_versions.name, _versions.source, _versions.made_at).join(
            newest, sa.and_(newest.c.name == _versions.name, newest.c.version == _versions.version)
        )
    )
    made = {row.name: row for row in of_versions}
    seen = {row.name: row for row in connection.execute(sa.select(template_files))}
    return {name: digest(row.source) for name, row in made.items()} | {
        name: row.digest
        for name, row in seen.items()
        if name not in made or row.seen_at >= made[name].made_at
    }


def note_files(connection: Connection, files: Mapping[str, str], now: datetime) -> None:
    rows = [{"name": name, "digest": digest(source), "seen_at": now} for name, source in files.items()]
    upsert(connection, template_files, rows)


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()
