"""How the template store shows itself in answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bridge.calendar.previews import Fault, Shape
from bridge.calendar.versions import Draft, Entry, Past
from bridge.outbox.reading import iso


def entry_shown(entry: Entry) -> dict[str, Any]:
    """Without sources."""
    drafted = entry.draft and {
        k: v for k, v in draft_shown(entry.draft).items() if k not in ("name", "source")
    }
    return {
        "name": entry.name,
        "is_piece": entry.is_piece,
        "purpose": entry.purpose,
        "version": entry.version,
        "published_at": iso(entry.published_at),
        "is_suspended": entry.is_suspended,
        "draft": drafted,
        "file_version": entry.file_version,
        "last_by": entry.last_by,
        "last_at": iso(entry.last_at),
    }


def draft_shown(stands: Draft) -> dict[str, Any]:
    return asdict(stands) | {"edited_at": iso(stands.edited_at)}


def past_shown(past: Past) -> dict[str, Any]:
    return asdict(past) | {"made_at": iso(past.made_at), "published_at": iso(past.published_at)}


def shape_shown(shape: Shape) -> dict[str, Any]:
    return {
        "variables": shape.variables,
        "pieces": shape.pieces,
        "faults": [fault_shown(shape.fault)] if shape.fault else [],
    }


def fault_shown(fault: Fault) -> dict[str, Any]:
    """A mistake with its place; `start` and `end` are columns from 0, where they can be told."""
    told = asdict(fault)
    return {"message": told.pop("words"), **told}
