"""What destinations' files declare: every one is listed, and none brings the web process anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.destinations import DESTINATIONS, declared
from bridge.outbox.tables import destination_states, messages
from bridge.settings import Settings
from bridge.settings.declared import words_for

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import sys, bridge.app, bridge.settings
before = set(sys.modules)
bridge.settings.Settings.from_env({})
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("bridge.")))
"""


def test_every_file_that_declares_one_is_listed() -> None:
    files = (ROOT / "bridge" / "destinations").glob("*.py")

    assert {file.stem for file in files if "\nDECLARED = " in file.read_text("utf-8")} == set(DESTINATIONS)
    assert declared().keys() == set(DESTINATIONS)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_its_name_fits_into_every_table(name: str) -> None:
    assert len(name) <= messages.c.destination.type.length
    assert len(name) <= destination_states.c.destination.type.length


@pytest.mark.parametrize("name", DESTINATIONS)
def test_its_words_are_its_own(name: str) -> None:
    others = {words_for(other).name for other in DESTINATIONS if other != name}

    assert words_for(name).name not in others | {name}
    assert "_" in words_for(name).credential


def test_of_one_that_is_no_more_the_name_is_known() -> None:
    assert words_for("telex").name == "telex"


def test_a_variable_that_several_read_is_one_fault() -> None:
    with pytest.raises(Exception, match="ROKT_ACCOUNT_ID") as refusal:
        Settings.from_env({"ROKT_API_KEY": "rpub", "ROKT_API_SECRET": "rsec"})

    assert str(refusal.value).count("\n") == 0


def test_their_variables_are_read_without_a_package_that_the_web_process_does_not_have() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.split() == []
