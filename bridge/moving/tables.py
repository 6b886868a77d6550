"""The moves that brought a database what stands in it."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table

from bridge.database import JsonText, UtcDateTime, metadata

# Written by the transaction that brings the rows. `number`: the one that the file which they come from is closed
# with, so that a move whose end nobody saw is recognised.
moves = Table(
    "moves",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("moved_at", UtcDateTime, nullable=False),
    Column("rows", JsonText, nullable=False),  # table → how many
)
