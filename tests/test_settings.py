"""The environment: read once, every fault told at once, no secret ever shown."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Any

import pytest

from bridge.errors import SettingsInvalid
from bridge.rate import Rate
from bridge.settings import ATTRIBUTES, SCOPES, IdentityRule, Secret, Settings, account_key

WEB = {"BRIDGE_TOKENS": "braze:s3cret", "SECRET_KEY": "k3y"}
CALENDAR = {"ROKT_CALENDAR_CLIENT_ID": "the-id", "ROKT_CALENDAR_CLIENT_SECRET": "c4lendar"}
BRAZE = {"BRAZE_REST_URL": "https://rest.iad-01.braze.com", "BRAZE_API_KEY": "br4ze-key"}
POSTGRES = {"DATABASE_URL": "postgres://ada:p4ss@db.example.com:5432/bridge?sslmode=require"}


def faults(*, is_web: bool = False, **environ: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_env(environ, is_web=is_web)
    return list(refusal.value.faults)


class TestDefaults:
    def test_an_empty_environment_is_good_for_a_worker(self) -> None:
        settings = Settings.from_env({})

        assert settings.database_url == "sqlite:///var/bridge.db"
        assert (settings.is_development, settings.keys, settings.calendar) == (False, (), None)
        assert (settings.retry_for, settings.retention_days) == (timedelta(hours=24), 30)
        assert settings.test_subscriptions == frozenset()
        assert settings.braze is None
        assert settings.subscribers.webhook_secrets == ()

    def test_a_blank_variable_is_as_good_as_none(self) -> None:
        names = ["DATABASE_URL", "BRIDGE_ENV", "RETRY_FOR", "RETENTION_DAYS", "ROKT_CALENDAR_URL", *CALENDAR]
        names += [*BRAZE, "BRAZE_SYNC", "ROKT_ATTRIBUTES", "ROKT_WEBHOOK_SECRET", "ROKT_SUBSCRIBER_FALLBACK"]

        assert Settings.from_env(dict.fromkeys(names, "  ")) == Settings.from_env({})

    def test_spaces_around_a_value_go(self) -> None:
        assert Settings.from_env({"RETRY_FOR": " 2h\n"}).retry_for == timedelta(hours=2)

    def test_other_variables_do_not_matter(self) -> None:
        assert Settings.from_env({"HOME": "/root", "ROKT_CALENDAR": "x"}) == Settings.from_env({})


class TestTheRate:
    @pytest.mark.parametrize(("variables", "a_second"), [({}, 0), ({"ROKT_CALENDAR_RATE": "50"}, 50)])
    def test_it_is_no_limit_unless_it_is_set(self, variables: dict[str, str], a_second: int) -> None:
        calendar = {"ROKT_CALENDAR_CLIENT_ID": "id", "ROKT_CALENDAR_CLIENT_SECRET": "secret"}

        assert Settings.from_env(calendar | variables).rates == {"rokt_calendar": Rate(a_second)}

    def test_a_destination_that_is_off_has_none(self) -> None:
        assert Settings.from_env({"ROKT_CALENDAR_RATE": "50", "BRAZE_TRACK_RATE": "50"}).rates == {}

    @pytest.mark.parametrize(("variables", "a_second"), [({}, 1000), ({"BRAZE_TRACK_RATE": "250"}, 250)])
    def test_braze_has_one_for_each_call(self, variables: dict[str, str], a_second: int) -> None:
        settings = Settings.from_env(BRAZE | variables)

        assert settings.braze is not None
        assert settings.rates == {"braze": Rate(a_second)} == {"braze": settings.braze.rate}


class TestAllFaultsAtOnce:
    def test_each_is_named_by_its_variable(self) -> None:
        wrong = {
            "DATABASE_URL": "mysql://ada:p4ss@db/bridge",
            "BRIDGE_ENV": "staging",
            "BRIDGE_TOKENS": "braze",
            "ROKT_CALENDAR_URL": "ftp://api.example.com",
            "ROKT_CALENDAR_UPDATE_BODY": "round",
            "ROKT_CALENDAR_RATE": "-1",
            "ROKT_CALENDAR_CLIENT_ID": "the-id",
            "RETRY_FOR": "soon",
            "RETENTION_DAYS": "7",
            "BRAZE_API_KEY": "two words",
            "BRAZE_SYNC": "maybe",
            "BRAZE_TRACK_BATCH": "1",
            "BRAZE_TRACK_RATE": "fast",
            "BRAZE_UNSUBSCRIBE_EVENT": "never",
            "BRAZE_EMAIL_CAPTURE": "2",
            "ROKT_ATTRIBUTES": "acount_code",
            "ROKT_SUBSCRIBER_ID": "phone",
            "ROKT_SUBSCRIBER_FALLBACK": "external_id",
            "ROKT_SUBSCRIBER_MERGE": "x",
            "ROKT_WEBHOOK_SECRET": "short",
            "BATCH_COUNT": "0",
            "BATCH_AGE": "0",
            "BATCH_BYTES": "1TB",
        }

        told = faults(is_web=True, **wrong)

        named = {fault.split(" ")[0] for fault in told}
        missing = {"ROKT_CALENDAR_CLIENT_SECRET", "SECRET_KEY", "BRAZE_REST_URL"}
        assert named == {*wrong, *missing} - {"ROKT_CALENDAR_CLIENT_ID"}
        assert len(told) == len(named)

    def test_the_text_of_the_error_has_one_line_for_each(self) -> None:
        with pytest.raises(SettingsInvalid) as refusal:
            Settings.from_env({"RETRY_FOR": "soon", "RETENTION_DAYS": "x"})

        assert [line[:2] for line in str(refusal.value).splitlines()] == ["- ", "- "]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"DATABASE_URL": "mysql://ada:p4ss@db/bridge"},
            {"BRIDGE_TOKENS": "braze:s3cret:sned"},
            {"BRIDGE_TOKENS": ":s3cret"},
            {"BRIDGE_TOKENS": "braze:s3cret:send:read"},
            {"ROKT_CALENDAR_URL": "https://ada:p4ss@api.example.com"},
            {"ROKT_CALENDAR_CLIENT_SECRET": "c4lendar"},
            {"BRAZE_REST_URL": "https://ada:p4ss@rest.iad-01.braze.com"},
            {"BRAZE_API_KEY": "br4ze key"},
            {"ROKT_WEBHOOK_SECRET": "w3bhook"},
            {"ROKT_WEBHOOK_SECRET": "w3bhook/of-sixteen-characters"},
        ],
    )
    def test_no_secret_stands_in_it(self, wrong: dict[str, str]) -> None:
        with pytest.raises(SettingsInvalid) as refusal:
            Settings.from_env(wrong)

        shown = "".join(traceback.format_exception(refusal.value))
        secrets = ("p4ss", "s3cret", "c4lendar", "br4ze", "w3bhook")
        assert not [secret for secret in secrets if secret in shown]


class TestSecrets:
    def test_they_do_not_stand_in_the_repr(self) -> None:
        settings = Settings.from_env({**WEB, **CALENDAR, **BRAZE, "ROKT_WEBHOOK_SECRET": "w3bhook-" * 2})

        hidden = ("s3cret", "k3y", "c4lendar", "br4ze", "w3bhook")
        assert not [secret for secret in hidden if secret in repr(settings)]
        assert "braze" in repr(settings)

    def test_the_databases_password_does_not_either(self) -> None:
        assert "p4ss" not in repr(Settings.from_env(POSTGRES))

    def test_a_secret_shows_itself_to_who_asks_by_name(self) -> None:
        secret = Secret("s3cret")

        assert (repr(secret), str(secret), f"{secret}") == ("Secret(***)",) * 3
        assert secret.reveal() == "s3cret"
        assert secret == Secret("s3cret")
        assert secret != Secret("other")


class TestDatabase:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_the_forms_of_a_postgresql_address(self, scheme: str) -> None:
        settings = Settings.from_env({"DATABASE_URL": f"{scheme}://ada:p4ss@db:5432/bridge?sslmode=require"})

        assert settings.database_url == "postgresql+psycopg://ada:p4ss@db:5432/bridge?sslmode=require"

    def test_sqlite_is_taken_as_it_is(self) -> None:
        assert (
            Settings.from_env({"DATABASE_URL": "sqlite:////data/x.db"}).database_url == "sqlite:////data/x.db"
        )

    @pytest.mark.parametrize(
        "url", ["sqlite://", "sqlite:///", "postgres://", "postgres", "mysql://a/b", "/x.db"]
    )
    def test_anything_else_is_refused(self, url: str) -> None:
        assert faults(DATABASE_URL=url) == [
            "DATABASE_URL is neither sqlite:///path nor postgresql://user:password@host/database"
        ]

    @pytest.mark.parametrize("environ", [{}, {"DATABASE_URL": "sqlite:///var/bridge.db"}])
    def test_heroku_refuses_sqlite(self, environ: dict[str, str]) -> None:
        [fault] = faults(DYNO="web.1", **environ)

        assert fault.startswith("DATABASE_URL is SQLite")
        assert "heroku addons:create heroku-postgresql" in fault

    def test_heroku_takes_its_own_form_of_postgresql(self) -> None:
        assert Settings.from_env({"DYNO": "web.1", **POSTGRES}).database_url.startswith(
            "postgresql+psycopg://"
        )


class TestTheWebProcess:
    def test_it_needs_keys_and_a_secret_key(self) -> None:
        told = faults(is_web=True)

        assert [fault.partition(" is missing")[0] for fault in told] == ["BRIDGE_TOKENS", "SECRET_KEY"]

    def test_in_development_it_needs_neither(self) -> None:
        settings = Settings.from_env({"BRIDGE_ENV": "development"}, is_web=True)

        assert settings.is_development
        assert settings.secret_key.reveal()

    def test_developments_processes_agree_on_a_secret_key(self) -> None:
        environ = {"BRIDGE_ENV": "development", "BRIDGE_TOKENS": "braze:s3cret"}

        first, second = (Settings.from_env(environ, is_web=True).secret_key for _ in range(2))

        assert first == second
        assert "s3cret" not in first.reveal()

    def test_with_both_it_starts(self) -> None:
        settings = Settings.from_env(WEB, is_web=True)

        assert settings.secret_key == Secret("k3y")


class TestInboundKeys:
    def keys(self, text: str) -> dict[str, Any]:
        found = Settings.from_env({"BRIDGE_TOKENS": text}).keys
        return {key.name: (key.secret.reveal(), key.scopes) for key in found}

    def test_several_stand_beside_each_other(self) -> None:
        assert self.keys("old:a, new:b:send ,ops:c:read+operate,") == {
            "old": ("a", frozenset(SCOPES)),
            "new": ("b", frozenset({"send"})),
            "ops": ("c", frozenset({"read", "operate"})),
        }

    def test_an_unknown_scope_is_answered_with_the_nearest(self) -> None:
        [fault] = faults(BRIDGE_TOKENS="a:b,braze:s3cret:sned")

        assert fault == "BRIDGE_TOKENS entry 2 (braze) has the unknown scope 'sned'; did you mean 'send'?"

    def test_a_secret_with_a_colon_is_not_shown_as_a_scope(self) -> None:
        [fault] = faults(BRIDGE_TOKENS="braze:one:tw0")

        assert "tw0" not in fault

    def test_a_list_without_an_entry_is_missing(self) -> None:
        assert faults(is_web=True, BRIDGE_TOKENS=" , ", SECRET_KEY="k3y")[0].startswith("BRIDGE_TOKENS")

    @pytest.mark.parametrize("entry", ["braze", ":b", "a:", "a:b:send:read", ":"])
    def test_an_entry_without_name_and_secret_is_refused_by_its_number(self, entry: str) -> None:
        assert faults(BRIDGE_TOKENS=f"ok:x,{entry}") == [
            "BRIDGE_TOKENS entry 2 is not name:secret or name:secret:scope+scope"
        ]


class TestCalendar:
    def test_without_credentials_it_is_off(self) -> None:
        assert Settings.from_env({"ROKT_CALENDAR_URL": "https://api.example.com"}).calendar is None

    def test_with_a_pair_it_is_on_at_rokts_own_address(self) -> None:
        calendar = Settings.from_env(CALENDAR).calendar

        assert calendar is not None
        assert (calendar.url, calendar.update_body) == ("https://api.roktcalendar.com", "wrapped")
        credential = calendar.credential("any")
        assert credential is not None
        assert (credential.client_id, credential.secret.reveal()) == ("the-id", "c4lendar")

    def test_an_account_may_have_a_pair_of_its_own(self) -> None:
        own = {"ROKT_CALENDAR_CLIENT_ID__MY_SHOP": "own", "ROKT_CALENDAR_CLIENT_SECRET__MY_SHOP": "x"}
        calendar = Settings.from_env({**CALENDAR, **own}).calendar

        assert calendar is not None
        found = {code: calendar.credential(code) for code in ("my-shop", "My_Shop", "other")}
        assert {code: one.client_id for code, one in found.items() if one} == {
            "my-shop": "own",
            "My_Shop": "own",
            "other": "the-id",
        }

    def test_where_only_one_account_has_a_pair_the_others_have_none(self) -> None:
        own = {"ROKT_CALENDAR_CLIENT_ID__SHOP": "own", "ROKT_CALENDAR_CLIENT_SECRET__SHOP": "x"}
        calendar = Settings.from_env(own).calendar

        assert calendar is not None
        assert calendar.credential("shop") is not None
        assert calendar.credential("other") is None

    @pytest.mark.parametrize("suffix", ["", "__SHOP"])
    @pytest.mark.parametrize(("have", "lack"), [("ID", "SECRET"), ("SECRET", "ID")])
    def test_half_a_pair_is_a_fault(self, have: str, lack: str, suffix: str) -> None:
        given = f"ROKT_CALENDAR_CLIENT_{have}{suffix}"

        assert faults(**{given: "x"}) == [f"ROKT_CALENDAR_CLIENT_{lack}{suffix} is missing: {given} is set"]

    def test_an_accounts_key_is_upper_case_without_dashes(self) -> None:
        assert account_key("my-Shop_1") == "MY_SHOP_1"

    @pytest.mark.parametrize(
        "url",
        ["api.example.com", "https://", "https://a?x=1", "https://a#x", "https://u:p@a", "ftp://a"],
    )
    def test_an_address_is_whole_and_nothing_more(self, url: str) -> None:
        assert faults(ROKT_CALENDAR_URL=url) == [
            "ROKT_CALENDAR_URL is not an address such as https://api.roktcalendar.com"
        ]

    def test_an_address_with_a_broken_host_is_a_fault_like_any_other(self) -> None:
        assert len(faults(ROKT_CALENDAR_URL="https://[x")) == 1

    def test_http_is_for_development(self) -> None:
        [fault] = faults(ROKT_CALENDAR_URL="http://127.0.0.1:8001")
        assert "only BRIDGE_ENV=development allows" in fault

        environ = {**CALENDAR, "BRIDGE_ENV": "development", "ROKT_CALENDAR_URL": "http://127.0.0.1:8001/"}
        calendar = Settings.from_env(environ).calendar
        assert calendar is not None
        assert calendar.url == "http://127.0.0.1:8001"


class TestBraze:
    def test_with_its_pair_it_is_on(self) -> None:
        braze = Settings.from_env({**BRAZE, "BRAZE_REST_URL": BRAZE["BRAZE_REST_URL"] + "/"}).braze

        assert braze is not None
        assert (braze.url, braze.api_key.reveal()) == ("https://rest.iad-01.braze.com", "br4ze-key")
        assert (braze.batch, braze.captures_email, braze.merges) == (75, False, True)
        assert braze.attributes == ATTRIBUTES
        assert len(ATTRIBUTES) == 16

    @pytest.mark.parametrize(("have", "lack"), [tuple(BRAZE), tuple(reversed(BRAZE))])
    def test_one_of_the_pair_without_the_other_is_a_fault(self, have: str, lack: str) -> None:
        assert faults(**{have: BRAZE[have]}) == [f"{lack} is missing: {have} is set"]

    def test_its_address_is_whole(self) -> None:
        wrong = BRAZE | {"BRAZE_REST_URL": "rest.iad-01.braze.com"}

        assert faults(**wrong) == ["BRAZE_REST_URL is not an address such as https://rest.iad-01.braze.com"]

    def test_http_is_for_development(self) -> None:
        local = BRAZE | {"BRAZE_REST_URL": "http://127.0.0.1:8001"}

        assert "only BRIDGE_ENV=development allows" in faults(**local)[0]
        assert Settings.from_env({**local, "BRIDGE_ENV": "development"}).braze is not None

    @pytest.mark.parametrize(("text", "most"), [("2", 2), ("75", 75), ("225", 225)])
    def test_a_call_has_room_for_an_attribute_and_an_event_at_least(self, text: str, most: int) -> None:
        braze = Settings.from_env({**BRAZE, "BRAZE_TRACK_BATCH": text}).braze

        assert braze is not None
        assert braze.batch == most

    @pytest.mark.parametrize("text", ["0", "1", "226", "-5", "x"])
    def test_and_for_no_more_than_braze_takes(self, text: str) -> None:
        assert faults(BRAZE_TRACK_BATCH=text) == ["BRAZE_TRACK_BATCH is not a whole number from 2 to 225"]

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("subscription_id", ("subscription_id",)),
            ("rokt:tags, account_code,rokt:optIn1,,", ("account_code", "optIn1", "tags")),
            ("tags,tags", ("tags",)),
            (" , ", ATTRIBUTES),
        ],
    )
    def test_attributes_are_chosen_with_or_without_their_prefix(
        self, text: str, names: tuple[str, ...]
    ) -> None:
        braze = Settings.from_env({**BRAZE, "ROKT_ATTRIBUTES": text}).braze

        assert braze is not None
        assert braze.attributes == names

    def test_unknown_attributes_are_refused_with_the_nearest(self) -> None:
        [fault] = faults(ROKT_ATTRIBUTES="rokt:acount_code,tags,tgas,zzz")

        assert fault.startswith(
            "ROKT_ATTRIBUTES has the unknown 'acount_code'; did you mean rokt:account_code?, and "
            "has the unknown 'tgas'; did you mean rokt:tags?, and has the unknown 'zzz'; there are account_code,"
        )


class TestSubscribers:
    def test_what_rokts_id_is_can_be_said(self) -> None:
        rules = {
            (): IdentityRule("external_id", "", True),
            (("ROKT_SUBSCRIBER_ID", "email"), ("ROKT_SUBSCRIBER_FALLBACK", "alias")): IdentityRule(
                "email", "alias", True
            ),
            (("ROKT_SUBSCRIBER_FALLBACK", "none"), ("ROKT_SUBSCRIBER_MERGE", "off")): IdentityRule(
                "external_id", "", False
            ),
        }

        for variables, rule in rules.items():
            settings = Settings.from_env(dict(variables) | BRAZE)
            assert settings.subscribers.rule == rule
            assert settings.braze is not None
            assert settings.braze.merges == rule.merges

    def test_no_secret_of_the_webhook_is_none_and_two_are_two(self) -> None:
        one, two = "a" * 16, "B-_.~9" * 4

        found = Settings.from_env({"ROKT_WEBHOOK_SECRET": f"{one}, {two},"}).subscribers.webhook_secrets

        assert found == (Secret(one), Secret(two))

    @pytest.mark.parametrize(
        "wrong", ["a" * 15, "a" * 20 + "/b", "with a blank in it", "a" * 20 + "%41", "ä" * 20]
    )
    def test_one_that_cannot_stand_in_an_address_is_refused_by_its_number(self, wrong: str) -> None:
        [fault] = faults(ROKT_WEBHOOK_SECRET=f"{'a' * 16},{wrong}")

        assert fault.startswith("ROKT_WEBHOOK_SECRET entry 2 is not fit to stand in an address: at least 16 ")
        assert "openssl rand -hex 24" in fault

    @pytest.mark.parametrize("text", ["on", "ON", "true", "1", "yes"])
    def test_switches_are_on(self, text: str) -> None:
        its = Settings.from_env({"BRAZE_SYNC": text, "BRAZE_UNSUBSCRIBE_EVENT": text}).subscribers

        assert (its.syncs, its.sends_unsubscribe) == (True, True)

    @pytest.mark.parametrize("text", ["off", "Off", "false", "0", "no"])
    def test_or_off(self, text: str) -> None:
        its = Settings.from_env({"BRAZE_SYNC": text, "BRAZE_UNSUBSCRIBE_EVENT": text}).subscribers

        assert (its.syncs, its.sends_unsubscribe) == (False, False)

    def test_and_nothing_else(self) -> None:
        assert faults(BRAZE_SYNC="maybe") == ["BRAZE_SYNC is neither on nor off"]


class TestBatches:
    def test_they_leave_at_a_hundred_a_second_or_a_megabyte(self) -> None:
        batch = Settings.from_env({}).batch

        assert (batch.count, batch.age, batch.size) == (100, timedelta(seconds=1), 1_000_000)

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("1", 1),
            ("65536", 65_536),
            ("512kB", 512_000),
            ("512 KB", 512_000),
            ("1MB", 1_000_000),
            ("2mb", 2_000_000),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("10b", 10),
        ],
    )
    def test_bytes(self, text: str, size: int) -> None:
        assert Settings.from_env({"BATCH_BYTES": text}).batch.size == size

    @pytest.mark.parametrize("text", ["0", "0MB", "1TB", "1.5MB", "MB", "-1", "1 M B", "1iB", "1k", "1M"])
    def test_what_is_no_size_is_refused(self, text: str) -> None:
        assert faults(BATCH_BYTES=text) == ["BATCH_BYTES is not a size such as 1MB, 512kB or 65536"]

    def test_an_age_is_a_time(self) -> None:
        assert Settings.from_env({"BATCH_AGE": "90s"}).batch.age == timedelta(seconds=90)
        assert Settings.from_env({"BATCH_AGE": "600"}).batch.age == timedelta(minutes=10)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800)]
    )
    def test_a_duration(self, text: str, seconds: int) -> None:
        assert Settings.from_env({"RETRY_FOR": text}).retry_for.total_seconds() == seconds

    @pytest.mark.parametrize("text", ["0", "0h", "-1h", "1w", "1.5h", "h", "1 h"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        assert faults(RETRY_FOR=text) == ["RETRY_FOR is not a time such as 90s, 15m, 24h or 7d"]

    def test_a_duration_of_ages_is_a_fault_like_any_other(self) -> None:
        assert len(faults(RETRY_FOR="999999999999d")) == 1

    def test_retention_outlives_the_repeats(self) -> None:
        assert Settings.from_env({"RETENTION_DAYS": "8"}).retention_days == 8
        assert faults(RETENTION_DAYS="7") == ["RETENTION_DAYS is not a whole number of at least 8"]

    def test_test_subscriptions_are_a_list_in_any_case(self) -> None:
        settings = Settings.from_env({"TEST_SUBSCRIPTIONS": "A-1, b-2\nC-3,,"})

        assert settings.test_subscriptions == {"a-1", "b-2", "c-3"}
