"""CONSOLE_USERS, the OpenID provider's variables, and the key that signs sessions."""

from __future__ import annotations

import pytest
from console.conftest import SECRET_KEY, hashed

from bridge.errors import SettingsInvalid
from bridge.settings import Settings

HASH = hashed("correct horse")
OIDC = {"OIDC_ISSUER": "https://login.example.com", "OIDC_CLIENT_ID": "id", "OIDC_CLIENT_SECRET": "0idc"}
WEB = {"BRIDGE_TOKENS": "braze:s3cret", "SECRET_KEY": SECRET_KEY}


def faults(*, is_web: bool = False, **environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_env(environ, is_web=is_web)
    return list(refusal.value.faults)


class TestUsers:
    def test_nobody_is_named_and_the_console_is_off(self) -> None:
        assert not Settings.from_env({}).console.is_on
        assert not Settings.from_env({"CONSOLE_USERS": " , "}).console.is_on

    def test_who_has_no_role_is_a_publisher(self) -> None:
        text = f"ada:{HASH}, grace@example.com:{HASH}:viewer ,edith:{HASH}:editor,"
        users = Settings.from_env({"CONSOLE_USERS": text}).console.users

        assert [(user.name, user.role) for user in users] == [
            ("ada", "publisher"),
            ("grace@example.com", "viewer"),
            ("edith", "editor"),
        ]
        assert {user.password_hash.reveal() for user in users} == {HASH}

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("ada", "entry 2 is not name:password-hash"),
            ("ada:correct horse", "entry 2 (ada) is not name:password-hash"),
            ("ada:correct horse:editor", "entry 2 (ada) is not name:password-hash"),
            (f":{HASH}", "entry 2 is not name:password-hash"),
            (f"ada:{HASH[:-1]}", "entry 2 (ada) is not name:password-hash"),
            (f"ada:{HASH}:admin", "unknown role 'admin'; there are viewer, editor, publisher"),
            (f"first:{HASH}", "entry 2 (first) has a name that another entry has already"),
        ],
    )
    def test_an_entry_that_is_none_is_told_without_its_password(self, entry: str, told: str) -> None:
        [fault] = faults(CONSOLE_USERS=f"first:{HASH},{entry}")

        assert fault.startswith("CONSOLE_USERS entry 2")
        assert told in fault
        assert "horse" not in fault
        assert HASH[-20:-1] not in fault

    def test_a_hash_is_shown_nowhere(self) -> None:
        assert HASH[-20:] not in repr(Settings.from_env({"CONSOLE_USERS": f"ada:{HASH}"}))


class TestOpenId:
    def test_all_three_turn_it_on(self) -> None:
        oidc = Settings.from_env(OIDC).console.oidc

        assert oidc is not None
        assert (oidc.issuer, oidc.client_id, oidc.client_secret.reveal()) == tuple(OIDC.values())
        assert oidc.roles == {"*": "viewer"}
        assert "0idc" not in repr(oidc)

    @pytest.mark.parametrize("name", sorted(OIDC))
    def test_one_alone_is_a_fault_that_names_the_others(self, name: str) -> None:
        assert faults(**{name: OIDC[name]}) == [f"{n} is missing: {name} is set" for n in OIDC if n != name]

    def test_a_provider_without_tls_is_for_development_alone(self) -> None:
        plain = OIDC | {"OIDC_ISSUER": "http://login.example.com"}

        assert "OIDC_ISSUER starts with http://" in faults(**plain)[0]
        assert Settings.from_env(plain | {"BRIDGE_ENV": "development"}).console.is_on


class TestTheSigningKey:
    @pytest.mark.parametrize("on", [{"CONSOLE_USERS": f"ada:{HASH}"}, OIDC])
    @pytest.mark.parametrize("environment", ["development", "production"])
    def test_the_console_needs_one_that_nobody_guesses(self, on: dict[str, str], environment: str) -> None:
        console = WEB | on | {"BRIDGE_ENV": environment}

        assert Settings.from_env(console, is_web=True).console.is_on
        assert faults(is_web=True, **(console | {"SECRET_KEY": ""}))[0].startswith("SECRET_KEY is missing")
        [fault] = faults(is_web=True, **(console | {"SECRET_KEY": "sh0rt"}))
        assert fault.startswith("SECRET_KEY is too short")
        assert "sh0rt" not in fault

    def test_what_a_provider_lacks_and_a_short_one_are_told_together(self) -> None:
        half = WEB | {"OIDC_ISSUER": OIDC["OIDC_ISSUER"], "SECRET_KEY": "sh0rt"}

        told = [fault.partition(" is ")[0] for fault in faults(is_web=True, **half)]

        assert told == ["OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "SECRET_KEY"]

    def test_a_worker_needs_none(self) -> None:
        assert Settings.from_env({"CONSOLE_USERS": f"ada:{HASH}"}).console.is_on

    def test_without_the_console_development_goes_on_without_one(self) -> None:
        assert not Settings.from_env({"BRIDGE_ENV": "development"}, is_web=True).console.is_on
