"""`render` and `templates`: render one, list them, publish one, write what is published back to `templates/`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from bridge.commands import import_liquid


def mount(commands: Any) -> None:
    words = "render a template of templates/ with the variables of a JSON file"
    one = commands.add_parser("render", help=words, description=words)
    one.set_defaults(command=_later("render"))
    one.add_argument("template")
    one.add_argument(
        "--data", required=True, metavar="FILE", help='JSON: the variables; "-" reads standard input'
    )
    one.add_argument(
        "--version", type=int, metavar="N", help="this version of the database's, in the place of the file"
    )
    words = "list templates, publish one, or write the published ones back to templates/"
    templates = commands.add_parser("templates", help=words, description=words)
    kinds = templates.add_subparsers(required=True, metavar="list|publish|pull|import-liquid")
    kinds.add_parser("list", help="what is published, and what is drafted").set_defaults(
        command=_later("list_all")
    )
    its = kinds.add_parser("publish", help="publish its draft; where there is none, its file")
    its.set_defaults(command=_later("publish"))
    its.add_argument("name")
    its.add_argument("--file", action="store_true", help="the file of templates/, whatever draft stands")
    its.add_argument("--note", default="", help="why, for the history")
    its.add_argument(
        "--over", type=int, metavar="N", help="though the draft was begun from another version than this one"
    )
    import_liquid.mount(kinds)
    pulls = kinds.add_parser("pull", help="write what is published to templates/, for git")
    pulls.set_defaults(command=_later("pull"))


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    """What it needs is loaded when it runs: every other command would wait for that."""

    def run(given: argparse.Namespace) -> int:
        from bridge.commands import template_work

        code: int = getattr(template_work, name)(given)
        return code

    return run
