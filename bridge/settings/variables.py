"""The environment's variables: each read into its value, or into a fault that says what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from bridge.errors import InvalidValue, nearest

# YAML makes true and false of a bare on and off.
_SWITCH = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
_IN_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "kib": 2**10, "mib": 2**20}

T = TypeVar("T")


class Variables:
    """Reads one by one and gathers the faults. White space around a value goes; a blank is as good as none.

    What could not be read is None in the settings that are built; but then there are faults and nobody sees it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        # In order, and each once: some variables are read for several destinations.
        self._faults: dict[str, None] = {}

    @property
    def faults(self) -> list[str]:
        return list(self._faults)

    def fault(self, words: str) -> None:
        """`words` begin with the variable's name, and never hold a secret."""
        self._faults[words] = None

    @property
    def is_development(self) -> bool:
        return self.read("BRIDGE_ENV", "production", one_of("production", "development")) == "development"

    def text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def read(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self.text(name) or default)
        except InvalidValue as fault:
            self.fault(f"{name} {fault}")
            return None  # type: ignore[return-value]  # nobody sees it: there is a fault

    def address(self, name: str, default: str) -> str:
        """A base address, whose `default` shows what is meant."""
        return self.read(name, default, base_url(default, allow_http=self.is_development))

    def together(self, *names: str) -> bool:
        """True if all are set; some without the others are a fault for each that lacks."""
        given = [name for name in names if self.text(name)]
        lacking = [name for name in names if name not in given]
        for name in lacking if given else ():
            self.fault(f"{name} is missing: {given[0]} is set")
        return not lacking

    def by_account(self, name: str) -> dict[str, str]:
        """`name` as "", and `name__ACCOUNT` by its account, where they are set."""
        found = {"": self.text(name)}
        found |= {k[len(name) + 2 :]: self.text(k) for k in self._environ if k.startswith(name + "__")}
        return {account: text for account, text in found.items() if text}


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `24h`, `7d`; a bare number is seconds."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if not match or int(match[1]) == 0:
        raise InvalidValue("is not a time such as 90s, 15m, 24h or 7d")
    return timedelta(seconds=int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]])


def size(text: str) -> int:
    """Bytes of `1MB`, `512kB`, `64KiB`, in any case of letters; a bare number is bytes."""
    match = re.fullmatch(r"([0-9]{1,9})\s*([kKmM]?[iI]?[bB]|)", text)
    if not match or int(match[1]) == 0 or match[2].lower() not in _IN_BYTES:
        raise InvalidValue("is not a size such as 1MB, 512kB or 65536")
    return int(match[1]) * _IN_BYTES[match[2].lower()]


def on_off(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise InvalidValue("is neither on nor off")
    return _SWITCH[text.lower()]


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise InvalidValue(f"is neither {' nor '.join(choices)}")
        return text

    return parse


def some_of(names: tuple[str, ...], prefix: str) -> Callable[[str], tuple[str, ...]]:
    """A comma-separated choice of names, with or without a prefix; the names stay in their own order."""

    def parse(text: str) -> tuple[str, ...]:
        given = [part.strip().removeprefix(prefix) for part in text.split(",") if part.strip()]
        told = []
        for unknown in (name for name in given if name not in names):
            near = nearest(unknown[:60], names, 1)
            meant = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(names)}"
            told.append(f"has the unknown {unknown[:60]!r}; {meant}")
        if told:
            raise InvalidValue(", and ".join(told))
        return tuple(name for name in names if name in given) or names

    return parse


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not least <= int(text) <= (most or int(text)):
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise InvalidValue(f"is not a whole number {bounds}")
        return int(text)

    return parse


def base_url(example: str, *, allow_http: bool) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme == "http" and not allow_http:
            raise InvalidValue("starts with http://, which only BRIDGE_ENV=development allows: use https://")
        if (
            parts.scheme not in ("https", "http")
            or not parts.netloc
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            raise InvalidValue(f"is not an address such as {example}")
        return text.rstrip("/")

    return parse
