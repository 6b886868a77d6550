"""`jobs`: list, show or cancel replays, cancels, recalls and erasures."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from bridge.commands.asking import call


def mount(commands: Any) -> None:
    words = "list, show or cancel jobs: replays, cancels, recalls and erasures"
    jobs = commands.add_parser("jobs", help=words, description=words)
    kinds = jobs.add_subparsers(required=True, metavar="list|show|cancel")
    kinds.add_parser("list", help="the newest first").set_defaults(command=_list_jobs)
    for name, command, its_words in (
        ("show", _show_job, "how far it is"),
        ("cancel", _cancel_job, "stop it where it is"),
    ):
        job = kinds.add_parser(name, help=its_words)
        job.set_defaults(command=command)
        job.add_argument("id")


def _list_jobs(_given: argparse.Namespace) -> int:
    return call("GET", "/v1/jobs", {})


def _show_job(given: argparse.Namespace) -> int:
    return call("GET", f"/v1/jobs/{quote(given.id, safe='')}", {})


def _cancel_job(given: argparse.Namespace) -> int:
    return call("DELETE", f"/v1/jobs/{quote(given.id, safe='')}", {})
