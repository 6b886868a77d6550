"""The templates' tables: every version that was ever made, which of them is published, drafts, and the files seen."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from bridge.database import UtcDateTime, Words, metadata

template_versions = Table(
    "template_versions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("origin", String(8), nullable=False),  # file, api, console
    Column("made_by", Words, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("suspended_at", UtcDateTime),  # cut off three times in a minute
    Column("note", Words),
    Column("published_by", Words),
    Column("published_at", UtcDateTime),  # the last time; None: it never was
)

template_publications = Table(
    "template_publications",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
)

template_drafts = Table(
    "template_drafts",
    metadata,
    Column("name", String(64), primary_key=True),
    # None: it was published or discarded. The row stays, as no revision may ever come twice: whoever still has an
    # old one open would overwrite a draft that began anew.
    Column("source", Text),
    Column("revision", Integer, nullable=False),
    Column("based_on", Integer),  # the version that was published when it was begun
    Column("edited_by", Words, nullable=False),
    Column("edited_at", UtcDateTime, nullable=False),
    Column("origin", String(8), nullable=False),
)

# What stood in each file of templates/ when it was last read: only what differs from that is new.
template_files = Table(
    "template_files",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)
