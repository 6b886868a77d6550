"""The templates of Braze's Rokt Calendar page, letter by letter, pointed at the bridge by changing their host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from braze import Aborted, Braze, Sent, User, Webhook
from servers import SandboxUnderTest
from web.running import ID, Bridge, Starter, secret

PAGE_HOST = "https://api.roktcalendar.com"
URL = (
    "{% assign accountCode = {{custom_attribute.${rokt:account_code}}}[0] | split: '/' | first %}"
    "https://api.roktcalendar.com/v1/subscriptionevent/{{accountCode}}"
)
AUTHORIZATION = (
    "Bearer {% connected_content https://api.roktcalendar.com/oauth2/token :method post "
    ":basic_auth <Rokt-Calendar-API> :body grant_type=client_credentials :save token :retry %}"
    "{{token.access_token}}"
)
HEADERS = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
CAPTURES = """\
{% capture eventId %}Event_0001{% endcapture %}
{% capture eventTitle %}Event Title{% endcapture %}
{% capture eventDescr %}Event Description{% endcapture %}
{% capture eventLocation %}Event Location{% endcapture %}
{% capture eventStart %}2019-02-21T15:00:00{% endcapture %}
{% capture eventEnd %}2019-02-21T15:00:00{% endcapture %}
{% capture notifyBefore %}15{% endcapture %}
{% capture eventTZ %}Eastern Standard Time{% endcapture %}
"""
CREATE_BODY = (
    CAPTURES
    + """
{
  "event": {
    "eventId": "{{eventId}}_{{${user_id}}}",
    "title": "{{eventTitle}}",
    "description": "{{eventDescr}}",
    "location": "{{eventLocation}}",
    "start": "{{eventStart}}",
    "end": "{{eventEnd}}",
    "timezone": "{{eventTZ}}",
    "notifyBefore": "{{notifyBefore}}"
  },
  "subscriptionIds": ["{{custom_attribute.${rokt:subscription_id}| join: '","'  }}"]
}
"""
)
UPDATE_BODY = (
    CAPTURES
    + """
{
  "event": {
    "eventId": "{{eventId}}_{{${user_id}}}",
    "title": "{{eventTitle}}",
    "description": "{{eventDescr}}",
    "location": "{{eventLocation}}",
    "start": "{{eventStart}}",
    "end": "{{eventEnd}}",
    "timezone": "{{eventTZ}}",
    "notifyBefore": "{{notifyBefore}}"
  }
}
"""
)
# As it stands in Rokt's own reference of the update: without the wrapping "event".
FLAT_UPDATE_BODY = (
    CAPTURES
    + """
{"eventId": "{{eventId}}_{{${user_id}}}", "title": "{{eventTitle}}", "description": "{{eventDescr}}",
 "location": "{{eventLocation}}", "start": "{{eventStart}}", "end": "{{eventEnd}}",
 "timezone": "{{eventTZ}}", "notifyBefore": {{notifyBefore}}}
"""
)
CREATE = Webhook(URL, CREATE_BODY, HEADERS)
UPDATE = Webhook(URL + "/update", UPDATE_BODY, HEADERS)

OTHER_ID = "9a9007c7-f5a4-4811-b13c-ff10919f1078"
ADA = User(
    "ada-1",
    {"rokt:account_code": ["brazetest/f5733866ade2"], "rokt:subscription_id": [ID, OTHER_ID]},
)
AS_ROKT_TAKES_IT = {
    "eventId": "Event_0001_ada-1",
    "title": "Event Title",
    "description": "Event Description",
    "location": "Event Location",
    "start": "2019-02-21T15:00:00",
    "end": "2019-02-21T15:00:00",
    "timezone": "Eastern Standard Time",
    "notifyBefore": 15,
}


class Workspace:
    """A Braze workspace whose campaigns call a served bridge, with a credential that holds a key of it."""

    def __init__(self, bridge: Bridge, url: str) -> None:
        self.bridge = bridge
        self.url = url
        self.braze = Braze({"<Rokt-Calendar-API>": ("send", secret("send"))})

    def send(self, webhook: Webhook, user: User = ADA) -> Sent:
        return self.braze.send(webhook.moved(PAGE_HOST, self.url), user)


@pytest.fixture
def workspace(walked: Bridge) -> Iterator[Workspace]:
    with walked.served() as url:
        yield Workspace(walked, url)


def test_the_page_renders_as_its_readers_expect() -> None:
    sent_url = Braze().render(URL, ADA)
    body = Braze().render(CREATE_BODY, ADA)

    assert sent_url == "https://api.roktcalendar.com/v1/subscriptionevent/brazetest"
    assert json.loads(body)["subscriptionIds"] == [ID, OTHER_ID]
    assert json.loads(body)["event"]["eventId"] == "Event_0001_ada-1"


def test_create_then_update_move_to_the_bridge_by_changing_the_host(workspace: Workspace) -> None:
    created = workspace.send(CREATE)
    updated = workspace.send(UPDATE)
    workspace.bridge.deliver()

    assert (created.status, created.answer["state"]) == (202, "accepted")
    assert (updated.status, updated.answer["state"]) == (202, "accepted")
    create, update = workspace.bridge.sent()
    assert (create["method"], create["path"]) == ("POST", "/v1/subscriptionevent/brazetest")
    assert create["body"] == {"event": AS_ROKT_TAKES_IT, "subscriptionIds": [ID, OTHER_ID]}
    assert (update["method"], update["path"]) == ("POST", "/v1/subscriptionevent/brazetest/update")
    assert update["body"] == {"event": AS_ROKT_TAKES_IT}
    assert (create["status"], update["status"]) == (202, 202)


def test_what_an_update_changes_reaches_both_calendars(workspace: Workspace) -> None:
    moved = Webhook(
        UPDATE.url, UPDATE_BODY.replace("2019-02-21T15:00:00", "2019-02-22T16:30:00"), UPDATE.headers
    )

    workspace.send(CREATE)
    workspace.send(moved)
    workspace.bridge.deliver()

    assert workspace.bridge.sandbox is not None
    [event] = workspace.bridge.sandbox.calendar()
    expected = AS_ROKT_TAKES_IT | {"start": "2019-02-22T16:30:00", "end": "2019-02-22T16:30:00"}
    assert event["holders"] == {ID: expected, OTHER_ID: expected}


def test_the_flat_update_of_rokts_reference_is_taken_and_leaves_wrapped(workspace: Workspace) -> None:
    workspace.send(CREATE)
    sent = workspace.send(Webhook(UPDATE.url, FLAT_UPDATE_BODY, HEADERS))
    workspace.bridge.deliver()

    assert sent.status == 202
    assert workspace.bridge.sent()[-1]["body"] == {"event": AS_ROKT_TAKES_IT}


def test_an_update_leaves_flat_where_the_operator_says_so(start: Starter, rokt: SandboxUnderTest) -> None:
    bridge = start(sandbox=rokt, ROKT_CALENDAR_UPDATE_BODY="flat")
    with bridge.served() as url:
        workspace = Workspace(bridge, url)

        workspace.send(CREATE)
        workspace.send(UPDATE)
        bridge.deliver()

    assert bridge.sent()[-1]["body"] == AS_ROKT_TAKES_IT


def test_the_sample_of_2019_is_sent_with_a_warning_that_it_is_past(workspace: Workspace) -> None:
    sent = workspace.send(CREATE)

    [warning] = sent.answer["warnings"]
    assert warning.startswith("end: is past")


def test_what_the_template_created_is_updated_by_the_bridges_own_endpoint(workspace: Workspace) -> None:
    workspace.send(CREATE)
    own = {"action": "update", "user_id": "ada-1", "event": {"event_id": "Event_0001", "title": "New"}}
    workspace.bridge.accept(own)
    workspace.bridge.deliver()

    assert workspace.bridge.sent()[-1]["path"] == "/v1/subscriptionevent/brazetest/update"
    assert workspace.bridge.sent()[-1]["body"] == {"event": AS_ROKT_TAKES_IT | {"title": "New"}}


def test_the_header_gets_a_token_of_the_bridge_that_is_not_the_key(workspace: Workspace) -> None:
    sent = workspace.send(CREATE)

    scheme, _, token = sent.headers["Authorization"].partition(" ")
    assert scheme == "Bearer"
    assert token
    assert secret("send") not in token


def test_a_wrong_credential_in_braze_aborts_the_message(workspace: Workspace) -> None:
    workspace.braze = Braze({"<Rokt-Calendar-API>": ("send", "wrong")})

    with pytest.raises(Aborted, match="401"):
        workspace.send(CREATE)


def test_a_users_quote_or_line_break_is_answered_with_its_place_and_json_escape(workspace: Workspace) -> None:
    broken = Webhook(URL, CREATE_BODY.replace("Event Title", 'Say "hi"'), HEADERS)

    sent = workspace.send(broken)

    assert sent.status == 400
    assert "Line 13, column 20" in sent.answer["detail"]
    assert "json_escape" in sent.answer["detail"]


@pytest.mark.parametrize("webhook", [CREATE, UPDATE], ids=["create", "update"])
def test_a_user_without_an_account_is_refused_by_name_and_not_redirected(
    workspace: Workspace, webhook: Webhook
) -> None:
    sent = workspace.send(webhook, User("ada-1", {"rokt:subscription_id": [ID]}))

    assert sent.status == 422
    assert "this user has no rokt:account_code" in sent.answer["detail"]
    assert sent.answer["errors"][0]["field"] == "accountCode"


def test_a_user_without_subscriptions_is_refused_by_name(workspace: Workspace) -> None:
    sent = workspace.send(CREATE, User("ada-1", {"rokt:account_code": ["brazetest/f5733866ade2"]}))

    assert '"subscriptionIds": [""]' in sent.body
    assert sent.status == 422
    assert sent.answer["errors"][0]["field"] == "subscriptionIds"


def test_a_user_without_an_external_id_is_refused_by_name(workspace: Workspace) -> None:
    sent = workspace.send(CREATE, User(None, ADA.attributes))

    assert '"Event_0001_"' in sent.body
    assert sent.status == 422
    assert "${user_id}" in sent.answer["errors"][0]["message"]


def test_ids_that_braze_printed_without_join_are_told_apart(workspace: Workspace) -> None:
    unjoined = CREATE_BODY.replace("| join: '\",\"'  ", "")

    workspace.send(Webhook(URL, unjoined, HEADERS))
    workspace.bridge.deliver()

    assert workspace.bridge.sent()[0]["body"]["subscriptionIds"] == [ID, OTHER_ID]


def test_an_older_update_without_its_closing_brace_is_answered_with_its_place(workspace: Workspace) -> None:
    cut = UPDATE_BODY.rstrip().removesuffix("}")

    sent = workspace.send(Webhook(UPDATE.url, cut, HEADERS))

    assert sent.status == 400
    assert "Line" in sent.answer["detail"]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ({"titre": "Soldes"}, "title"),
        ({"emplacement": "Ici"}, "location"),
        ({"départ": "2019-02-21T15:00:00"}, "start"),
        ({"fin": "2019-02-21T16:00:00"}, "end"),
        ({"fuseau horaire": "Eastern Standard Time"}, "timezone"),
        ({"eventTitle": "Event Title"}, "title"),
        ({"eventDescr": "Event Description"}, "description"),
        ({"eventLocation": "Event Location"}, "location"),
        ({"eventStart": "2019-02-21T15:00:00"}, "start"),
        ({"eventEnd": "2019-02-21T16:00:00"}, "end"),
        ({"eventTz": "Eastern Standard Time"}, "timezone"),
        ({"notify_before": 15}, "notifyBefore"),
    ],
)
def test_a_name_of_the_pages_tables_or_of_its_translation_is_refused_with_the_one_that_is_meant(
    bridge: Bridge, slip: dict[str, Any], meant: str
) -> None:
    body = {"event": AS_ROKT_TAKES_IT | slip, "subscriptionIds": [ID]}
    [name] = slip

    wrapped = bridge.refuse(body, "/v1/subscriptionevent/brazetest")
    flat = bridge.refuse(AS_ROKT_TAKES_IT | slip, "/v1/subscriptionevent/brazetest/update")

    for answer, field in ((wrapped, f"event.{name}"), (flat, name)):
        assert answer.fields == [field]
        assert answer.body["errors"][0]["message"].endswith(f"did you mean {meant}?")
    assert bridge.count() == 0


def test_all_names_of_the_french_page_are_refused_together(bridge: Bridge) -> None:
    french = {"eventId": "Event_0001_u1", "titre": "x", "emplacement": "x", "départ": "x", "fin": "x"}

    answer = bridge.refuse({"event": french, "subscriptionIds": [ID]}, "/v1/subscriptionevent/brazetest")

    assert sorted(answer.fields) == ["event.départ", "event.emplacement", "event.fin", "event.titre"]


def test_a_campaign_in_our_own_form_needs_no_account_in_its_address(workspace: Workspace) -> None:
    body = """\
{% if custom_attribute.${rokt:subscription_id} == blank %}{% abort_message('no calendar subscription') %}{% endif %}
{
  "template": "fixture", "action": "upsert",
  "user_id": "{{${user_id} | json_escape}}",
  "account_code": "{{custom_attribute.${rokt:account_code} | join: ','}}",
  "subscription_ids": "{{custom_attribute.${rokt:subscription_id} | join: ','}}",
  "as_of": "{{event_properties.${updated_at} | json_escape}}",
  "idempotency_key": "{{campaign.${message_api_id}}}-{{campaign.${dispatch_id}}}",
  "variables": {
    "match_id": "{{event_properties.${match_id} | json_escape}}",
    "home": "{{event_properties.${home} | json_escape}}", "away": "{{event_properties.${away} | json_escape}}",
    "kickoff": "{{event_properties.${kickoff}}}", "confirmed": "{{event_properties.${confirmed}}}",
    "venue": "{{event_properties.${venue} | json_escape}}"
  }
}
"""
    match = {
        "match_id": "m1",
        "home": 'The "Reds"',
        "away": "Zürich",
        "kickoff": "2090-12-01T20:00:00Z",
        "updated_at": "2026-11-20T10:00:00Z",
    }
    webhook = Webhook("https://api.roktcalendar.com/v1/calendar/events", body, HEADERS)

    sent = workspace.send(webhook, User("ada-1", ADA.attributes, match))
    again = workspace.send(webhook, User("ada-1", ADA.attributes, match))
    workspace.bridge.deliver()

    assert sent.status == 202, sent.answer
    assert (again.status, again.answer["id"]) == (200, sent.answer["id"])
    [call] = workspace.bridge.sent()
    assert call["body"]["event"]["title"] == 'The "Reds" v Zürich'
    assert call["body"]["event"]["eventId"] == "match_m1_ada-1"
    with pytest.raises(Aborted, match="no calendar subscription"):
        workspace.send(webhook, User("bob", {"rokt:subscription_id": []}))
