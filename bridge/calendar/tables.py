"""The templates' tables: every version that was ever made, and which of them is published."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from bridge.database import UtcDateTime, metadata

template_versions = Table(
    "template_versions",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("origin", String(8), nullable=False),  # file, api, console
    Column("made_by", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("suspended_at", UtcDateTime),  # cut off three times in a minute
)

template_publications = Table(
    "template_publications",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
)
