"""Who may import whom: the tables that stand in docs/architecture.md too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "bridge").rglob("*.py"))

# Every part of the bridge, and the parts beside itself that it may import.
EVERYBODY = {"message", "errors", "settings", "rate", "hashing", "places", "metrics"}
PARTS: dict[str, set[str]] = {
    "message": set(),
    "errors": set(),
    "settings": {"errors", "rate"},
    "rate": set(),
    "places": set(),
    "hashing": set(),
    "log": set(),
    "rows": set(),
    "groups": {"errors"},
    "metrics": {"message"},
    "postgres": set(),
    "database": {"errors", "metrics", "postgres"},
    "schema": EVERYBODY | {"database", "outbox"},
    "moving": EVERYBODY | {"database", "schema", "outbox", "ledger", "calendar"},
    "outbox": EVERYBODY | {"database", "rows", "groups"},
    "subscribers": EVERYBODY,
    "conversions": EVERYBODY,
    "audiences": EVERYBODY,
    "ledger": EVERYBODY | {"database", "rows", "groups", "subscribers"},
    "calendar": EVERYBODY | {"database", "rows"},
    "routes": EVERYBODY | {"calendar", "subscribers", "conversions", "audiences"},
    "rendering": EVERYBODY | {"database", "routes", "outbox", "ledger"},  # web's, and that of a worker's jobs
    "upstream": EVERYBODY,
    "destinations": EVERYBODY
    # The plan is a dry run's and a delivery's.
    | {"upstream", "ledger", "calendar", "subscribers", "conversions", "audiences"},
    "offers": EVERYBODY | {"upstream"},
    "worker": EVERYBODY | {"database", "outbox", "destinations", "sending", "filling", "counting"},
    "counting": EVERYBODY | {"database", "outbox", "ledger"},
    "sending": EVERYBODY | {"database", "outbox", "destinations", "turns", "filling"},
    "filling": EVERYBODY | {"outbox", "destinations", "turns"},
    "turns": EVERYBODY | {"database", "outbox"},
    "job_runner": EVERYBODY | {"database", "outbox", "destinations"},
    "recall": EVERYBODY | {"database", "outbox", "ledger", "routes", "calendar"},
    "forget": EVERYBODY | {"database", "outbox", "ledger", "recall"},
    "web": EVERYBODY
    | {
        "log",
        "database",
        "schema",
        "routes",
        "calendar",
        "subscribers",
        "conversions",
        "audiences",
        "outbox",
        "ledger",
        "offers",
        "rendering",
        "recall",
        "forget",
        "groups",
    },
    "console": EVERYBODY
    | {"database", "web", "ledger", "calendar", "outbox", "routes", "subscribers", "rendering", "recall"},
    "sandbox": EVERYBODY | {"calendar"},
}
ASSEMBLY = {
    "app",
    "cli",
    "commands",
    "local",
    "demo",
    "__main__",
}  # they put the parts together

# One module that may more than its part.
WIDER = {
    "bridge.calendar.plan": {"ledger"},  # what leaves depends on what Rokt holds
    "bridge.console.openid": {"upstream"},  # the provider is asked who somebody is
    "bridge.settings.declared": {"destinations"},  # each names its own variables; loaded when first asked for
}

# Who may import a package: parts, or single modules of them.
PACKAGES = {
    "requests": {"upstream"},
    "urllib3": {"upstream"},
    "authlib": {"upstream"},
    "joserfc": {"upstream"},
    "flask": {"app", "web", "console", "sandbox"},
    "flask_wtf": {"console"},
    "werkzeug": {"app", "web", "console", "sandbox", "cli", "local"},
    "jinja2": {"calendar", "bridge.console"},  # the console's pages are Flask's; it only wants them strict
    "alembic": {"schema"},
    "gevent": {"bridge.web.server", "bridge.web.connection"},
    "gunicorn": {"bridge.web.server", "bridge.web.connection"},
    "sqlalchemy": {
        "rows",
        "database",
        "schema",
        "moving",
        "outbox",
        "ledger",
        "worker",
        "bridge.calendar.templates",
        *(
            f"bridge.calendar.versions.{name}"
            for name in ("reading", "drafts", "publishing", "files_seen", "files")
        ),
        "bridge.calendar.tables",
    },
    "liquid": {f"bridge.calendar.liquid.{name}" for name in ("dialect", "reading", "comparing")},
    "dateutil": {"bridge.calendar.liquid.dialect"},
    "prometheus_client": {"metrics"},
    "psycopg": {"postgres"},
    "sqlite3": {"database"},
}
TYPES_ONLY = "sqlalchemy.engine"  # a connection that is handed through, without SQL of its own


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    """Every module that is imported anywhere in a file; `from a import b` is both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def parts_imported(path: Path) -> set[str]:
    """The parts whose modules a file imports; names of `bridge` itself, such as its version, are none."""
    names = {part_of(one) for one in imports_of(path) if one.startswith("bridge.")}
    return names & (PARTS.keys() | ASSEMBLY)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_the_parts_that_its_own_may(path: Path) -> None:
    module = name_of(path)
    if part_of(module) in ASSEMBLY or module == "bridge":
        return

    allowed = PARTS[part_of(module)] | {part_of(module)} | WIDER.get(module, set())

    assert parts_imported(path) - allowed == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_package_is_imported_only_where_it_belongs(path: Path) -> None:
    module = name_of(path)

    wrong = [
        imported
        for imported in imports_of(path)
        if (holders := PACKAGES.get(imported.split(".")[0])) is not None
        and not holders & {part_of(module), module}
        and not imported.startswith(TYPES_ONLY)
    ]

    assert wrong == []


def test_every_part_stands_in_the_table() -> None:
    parts = {part_of(name_of(path)) for path in MODULES} - {""}

    assert parts <= PARTS.keys() | ASSEMBLY


def test_the_table_has_no_wish_that_nobody_makes_use_of() -> None:
    """A permission that nothing needs hides the import that should not have come."""
    used: dict[str, set[str]] = {}
    for path in MODULES:
        used.setdefault(part_of(name_of(path)), set()).update(parts_imported(path))
    there = {part_of(name_of(path)) for path in MODULES}

    idle = {
        part: unused
        for part, allowed in PARTS.items()
        if part in there and (unused := (allowed & there) - EVERYBODY - used[part])
    }

    assert idle == {}


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from bridge import destinations\n    import bridge.upstream.oauth\n")

    assert parts_imported(wrong) == {"destinations", "upstream"}


def told(heading: str) -> dict[str, str]:
    """The rows of a table of docs/architecture.md: what its first column names, each with the second."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = page[page.index(f"| {heading} |") :].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ", 1) for row in table.splitlines()[2:]]
    return {name: words for first, words in rows for name in named(first) or [first]}


def named(words: str) -> list[str]:
    return re.findall(r"`([^`]+)`", words)


def test_docs_architecture_has_this_table() -> None:
    wanted: dict[str, tuple[set[str], bool]] = {"everybody": (EVERYBODY, False)}
    for part, allowed in PARTS.items():
        is_only = not allowed >= EVERYBODY
        wanted[part] = (allowed if is_only else allowed - EVERYBODY, is_only)
    wanted |= {module: (allowed, False) for module, allowed in WIDER.items()}

    rows = told("part")

    assert {name for name, words in rows.items() if words.startswith("everything")} == ASSEMBLY
    given = {
        name: (set(named(words)), words.startswith("only "))
        for name, words in rows.items()
        if name not in ASSEMBLY
    }
    assert given == wanted


def test_docs_architecture_tells_who_imports_a_package() -> None:
    assert {name: set(named(words)) for name, words in told("package").items()} == PACKAGES
