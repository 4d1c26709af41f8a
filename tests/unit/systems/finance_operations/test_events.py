"""What a POST of an event says, in every shape in which it may come."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.problems import NotValid, UnknownEvent
from shared.systems.contract import Event, Handshake
from shared.systems.finance_operations.events import Kind, read_events
from shared.systems.finance_operations.jobs import Status
from shared.validation.body import parse

JOB = 5637144245
EVENT = "8D1220EB-E514-4E35-844E-E062DEF0C05D"
PAYLOAD: dict[str, Any] = {
    "AdminEmailId": "admin@contoso.example",
    "BusinessEventId": "BatchJobFailedBusinessEvent",
    "BusinessEventLegalEntity": "USMF",
    "ContextRecordSubject": "",
    "ControlNumber": 5637166326,
    "EventId": EVENT,
    "EventTime": "/Date(1795417200000)/",
    "EventTimeIso8601": "2026-11-23T07:00:00.0000000Z",
    "InitiatingUserAADObjectId": "{00000000-0000-0000-0000-000000000000}",
    "JobDescription": "Post the journals",
    "JobEndUtcDateTime": "/Date(1795417199000)/",
    "JobExecutedByEmailId": "batch@contoso.example",
    "JobId": JOB,
    "JobOwnerEmailId": "owner@contoso.example",
    "JobStatus": "Error",
    "MajorVersion": 0,
    "MinorVersion": 0,
    "ParentContextRecordSubjects": None,
}
SAMPLE = {
    **dict.fromkeys(("AdminEmailId", "BusinessEventId", "BusinessEventLegalEntity", "ContextRecordSubject"), ""),
    "ControlNumber": 0,
    "EventId": "",
    "EventTime": "/Date(-2208988800000)/",
    "EventTimeIso8601": "1900-01-01T00:00:00Z",
    "InitiatingUserAADObjectId": "{00000000-0000-0000-0000-000000000000}",
    "JobDescription": "",
    "JobEndUtcDateTime": "/Date(-2208988800000)/",
    "JobExecutedByEmailId": "",
    "JobId": 0,
    "JobOwnerEmailId": "",
    "JobStatus": "",
    "MajorVersion": 0,
    "MinorVersion": 0,
    "ParentContextRecordSubjects": None,
}
TEST = {
    "BusinessEventId": "BusinessEventsTestEndpointContract",
    "BusinessEventLegalEntity": "DAT",
    "ControlNumber": -9223372036854775808,
    "EventId": EVENT,
}
QUESTION = {
    "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
    "topic": "/subscriptions/00000000-0000-0000-0000-000000000000",
    "subject": "",
    "data": {
        "validationCode": "512d38b6",
        "validationUrl": "https://contoso.example/eventsubscriptions/a/validate?id=1",
    },
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2026-11-23T07:00:00Z",
    "metadataVersion": "1",
    "dataVersion": "1",
}


def grid(data: object, kind: str = "BatchJobFailedBusinessEvent") -> dict[str, object]:
    return {**QUESTION, "subject": "USMF", "eventType": kind, "data": data}


def cloud(**more: object) -> dict[str, object]:
    known = {"specversion": "1.0", "id": "A234-1234", "source": "/fno", "type": "com.contoso.event"}
    return {**known, "datacontenttype": "application/json", **more}


def base64_of(payload: object) -> str:
    return base64.b64encode(json.dumps(payload).encode()).decode()


def pairs(members: dict[str, Any], prefix: str = "mserp_") -> list[dict[str, object]]:
    return [{"key": f"{prefix}{name.lower()}", "value": value} for name, value in members.items()]


def context(parameters: object, name: str = "mserp_BatchJobEvent") -> dict[str, object]:
    return {
        "BusinessUnitId": "e2b9dd65-f3c8-4f9a-8f1c-2a2d3a0b0c0d",
        "CorrelationId": "b374239d-4233-41a9-8b17-a86cb4f737b5",
        "Depth": 1,
        "InputParameters": parameters,
        "MessageName": name,
        "Mode": 1,
        "OperationCreatedOn": "/Date(1795417200000)/",
        "OutputParameters": [],
        "ParentContext": None,
        "PrimaryEntityId": "00000000-0000-0000-0000-000000000000",
        "PrimaryEntityName": "none",
        "SharedVariables": [{"key": "IsAutoTransact", "value": True}],
        "Stage": 40,
    }


def entity(payload: dict[str, Any]) -> dict[str, object]:
    return {
        "__type": "Entity:http://schemas.microsoft.com/xrm/2011/Contracts",
        "Attributes": pairs(payload),
        "EntityState": None,
        "FormattedValues": [],
        "Id": "00000000-0000-0000-0000-000000000001",
        "KeyAttributes": [],
        "LogicalName": "mserp_batchjobevent",
        "RelatedEntities": [],
        "RowVersion": None,
    }


REFERENCE = {
    "key": "Target",
    "value": {
        "__type": "EntityReference:http://schemas.microsoft.com/xrm/2011/Contracts",
        "Id": "00000000-0000-0000-0000-000000000001",
        "LogicalName": "mserp_batchjobevent",
    },
}
SHAPES: dict[str, Callable[[dict[str, Any]], object]] = {
    "the payload itself": lambda told: told,
    "a list": lambda told: [told],
    "names in lower case": lambda told: {name.lower(): value for name, value in told.items()},
    "names with a prefix": lambda told: {f"mserp_{name}": value for name, value in told.items()},
    "Event Grid": lambda told: [grid(told)],
    "Event Grid, data as text": lambda told: [grid(json.dumps(told))],
    "one event of Event Grid": grid,
    "CloudEvents": lambda told: cloud(data=told),
    "CloudEvents, data as text": lambda told: cloud(data=json.dumps(told)),
    "CloudEvents, data as base64": lambda told: cloud(data_base64=base64_of(told)),
    "a list of CloudEvents": lambda told: [cloud(data=told)],
    "a webhook with an entity": lambda told: context([{"key": "Target", "value": entity(told)}], "Create"),
    "a webhook with single parameters": lambda told: context(pairs(told)),
    "a webhook with parameters without prefix": lambda told: context(pairs(told, "")),
    "a webhook with text": lambda told: context([{"key": "mserp_payload", "value": json.dumps(told)}]),
    "a webhook with an object": lambda told: context([{"key": "Payload", "value": told}]),
    "a webhook with pairs": lambda told: context([{"key": "Payload", "value": pairs(told)}]),
    "a webhook with text next to a reference": lambda told: context(
        [REFERENCE, {"key": "Text", "value": "{"}, {"key": "mserp_payload", "value": json.dumps(told)}]
    ),
    "a webhook in Event Grid": lambda told: [grid(json.dumps(context([{"key": "Target", "value": entity(told)}])))],
}
IN_EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def read(body: object, headers: dict[str, str] | None = None) -> Handshake | tuple[Event, ...]:
    """Read a body as it comes over the wire."""
    return read_events(parse(json.dumps(body).encode()), headers or {})


def hint(body: object) -> Event:
    found = read(body)
    assert isinstance(found, tuple)
    [one] = found
    return one


def payload(**changes: object) -> dict[str, Any]:
    return {**PAYLOAD, **changes}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in PAYLOAD.items() if name not in names}


def refused(body: object, headers: dict[str, str] | None = None) -> dict[str, Any]:
    with pytest.raises(UnknownEvent) as caught:
        read(body, headers)
    told: dict[str, Any] = json.loads(caught.value.answer().body)
    assert (told["status"], told["type"]) == (422, "urn:nightshift:problem:event-not-known")
    return told


@IN_EVERY_SHAPE
def test_an_event_is_read_in_every_shape(shape: Callable[[dict[str, Any]], object]) -> None:
    assert hint(shape(PAYLOAD)) == Event(JOB, "failed", hint(PAYLOAD).mark)
    assert hint(shape(payload(JobId=str(JOB)))).item == JOB


@IN_EVERY_SHAPE
def test_the_test_of_an_endpoint_is_left_out_in_every_shape(shape: Callable[[dict[str, Any]], object]) -> None:
    assert read(shape(TEST)) == ()


@IN_EVERY_SHAPE
def test_the_schema_that_can_be_downloaded_is_a_test_as_well(shape: Callable[[dict[str, Any]], object]) -> None:
    assert read(shape(SAMPLE)) == ()


@IN_EVERY_SHAPE
@pytest.mark.parametrize("job", [0, -1, 1.5, True, None, "", "x", "0", "1e3", 2**63, str(2**63), [JOB], {"a": JOB}])
def test_an_event_whose_job_is_no_number_above_0_is_refused_in_every_shape(
    shape: Callable[[dict[str, Any]], object], job: object
) -> None:
    refused(shape(payload(JobId=job)))


def test_an_event_that_only_lost_its_job_is_not_taken_for_the_schema() -> None:
    refused({**SAMPLE, "EventId": EVENT})
    refused({**SAMPLE, "BusinessEventId": "BatchJobFailedBusinessEvent"})
    refused({**SAMPLE, "JobId": None})


@given(job=st.integers(1, 2**63 - 1), shape=st.sampled_from(list(SHAPES.values())))
def test_any_job_is_read_to_its_last_digit(job: int, shape: Callable[[dict[str, Any]], object]) -> None:
    assert hint(shape(payload(JobId=job))).item == job


@given(st.integers(0, 2**32))
def test_neither_case_nor_underscores_in_names_count(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    told = {}
    for name, value in PAYLOAD.items():
        told["".join(chance.choice([one.lower(), one.upper(), f"{one}_"]) for one in name)] = value
    assert hint(told) == hint(PAYLOAD)


def test_the_name_with_a_space_in_the_documents_is_known() -> None:
    assert hint({"Event Id": EVENT, "JobId": JOB}).mark == hint(PAYLOAD).mark


def test_a_name_without_a_prefix_goes_before_one_with_it() -> None:
    assert hint({"parent_JobId": 1, "JobId": 2, "other_JobId": 3}).item == 2


def test_a_job_that_is_named_twice_contradicts_itself() -> None:
    assert hint({**PAYLOAD, "jobid": JOB}).item == JOB
    refused({**PAYLOAD, "jobid": 1})
    refused(context([*pairs(PAYLOAD), {"key": "mserp_JobId", "value": 1}]))


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        *[("Error", "", "failed"), ("ERROR", "", "failed"), ("In error", "", "failed"), (3, "", "failed")],
        *[("3", "", "failed"), ({"__type": "OptionSetValue", "Value": 3}, "", "failed")],
        *[("Finished", "", "ended"), ("Ended", "", "ended"), ("Canceled", "", "ended"), ("Cancelled", "", "ended")],
        *[(4, "", "ended"), (8, "", "ended"), ("Executing", "", "started"), (2, "", "started")],
        *[("Waiting", "", "unknown"), (0, "", "unknown"), (10, "", "unknown"), (-1, "", "unknown")],
        *[("", "", "unknown"), (None, None, "unknown"), (True, "", "unknown"), (["Error"], "", "unknown")],
        *[(3.0, "", "unknown"), ({"Value": None}, "", "unknown"), ("Fehler", "", "unknown"), ("٣", "", "unknown")],
        ("", "BatchJobFailedBusinessEvent", "failed"),
        ("", "BATCHJOBERRORBUSINESSEVENT", "failed"),
        (None, "BatchJobFinishedBusinessEvent", "ended"),
        ("", "BatchJobCancelledBusinessEvent", "ended"),
        ("", "BatchJobCanceledBusinessEvent", "ended"),
        ("", "BatchJobStartedBusinessEvent", "started"),
        ("", "BatchJobBusinessEvent", "unknown"),
        ("Executing", "BatchJobFailedBusinessEvent", "failed"),
        ("Error", "BatchJobFinishedBusinessEvent", "failed"),
        ("Waiting", "BatchJobFinishedBusinessEvent", "ended"),
    ],
)
def test_the_kind_is_read_from_the_status_or_the_name(status: object, name: object, kind: Kind) -> None:
    assert hint(payload(JobStatus=status, BusinessEventId=name)).kind == kind


def test_a_number_is_that_of_the_enumeration() -> None:
    assert [hint(payload(JobStatus=number, BusinessEventId="")).kind for number in range(10)] == [
        hint(payload(JobStatus=status, BusinessEventId="")).kind for status in Status
    ]


@pytest.mark.parametrize(
    "body",
    [
        context(pairs(without("BusinessEventId", "JobStatus")), "mserp_BatchJobFailedBusinessEvent"),
        grid(without("BusinessEventId", "JobStatus")),
        cloud(type="BatchJobFailedBusinessEvent", data=without("BusinessEventId", "JobStatus")),
    ],
)
def test_where_the_payload_has_no_name_the_envelope_has_it(body: object) -> None:
    assert hint(body).kind == "failed"


@pytest.mark.parametrize(
    "body",
    [
        grid("", "BusinessEventsTestEndpointContract"),
        grid(None, "BusinessEventsTestEndpointContract"),
        context([], "mserp_BusinessEventsTestEndpointContract"),
        grid({"eventSubscriptionId": "/subscriptions/a"}, "Microsoft.EventGrid.SubscriptionDeletedEvent"),
    ],
)
def test_what_is_about_no_job_is_left_out(body: object) -> None:
    assert read(body) == read([body]) == ()


def test_a_list_without_events_has_none() -> None:
    assert read([]) == ()


def test_tests_are_left_out_among_others_and_the_order_is_kept() -> None:
    found = read([payload(JobId=2), TEST, grid(json.dumps(payload(JobId=1))), cloud(data=[payload(JobId=3), TEST])])
    assert isinstance(found, tuple)
    assert [one.item for one in found] == [2, 1, 3]


@pytest.mark.parametrize("own", [EVENT, EVENT.lower(), f"{{{EVENT}}}"])
def test_an_event_is_known_by_its_id_however_it_is_written(own: str) -> None:
    assert hint(payload(EventId=own, ControlNumber=1, JobStatus="")).mark == hint(PAYLOAD).mark
    assert hint(payload(EventId="another")).mark != hint(PAYLOAD).mark


@pytest.mark.parametrize("own", ["", None, "{00000000-0000-0000-0000-000000000000}"])
def test_without_an_id_it_is_known_by_name_job_and_number(own: object) -> None:
    mark = hint(payload(EventId=own)).mark
    assert mark == hint(payload(EventId=own, EventTime="later", ControlNumber="5637166326")).mark
    changes: list[dict[str, object]] = [{"JobId": 1}, {"ControlNumber": 1}, {"BusinessEventId": "B"}]
    others = {hint(payload(EventId=own, **change)).mark for change in changes}
    assert len({mark, *others}) == 4


def test_without_id_and_number_it_is_known_by_all_that_came() -> None:
    bare = {"JobId": JOB, "JobStatus": "Error"}
    assert hint(bare).mark == hint(dict(reversed(bare.items()))).mark == hint([bare]).mark
    marks = [hint(bare).mark, hint({**bare, "at": 1}).mark, hint(grid(bare)).mark, hint({**grid(bare), "id": "2"}).mark]
    assert len(set(marks)) == 4


def test_events_that_came_together_are_told_apart() -> None:
    found = read(cloud(data=[{"JobId": 1}, {"JobId": 2}, {"JobId": 1}]))
    assert isinstance(found, tuple)
    assert found[0].mark == found[2].mark != found[1].mark


@given(st.text() | st.integers() | st.none() | st.booleans())
def test_a_mark_can_be_part_of_a_key_whatever_the_id_is(own: object) -> None:
    mark = hint(payload(EventId=own, BusinessEventId=own, ControlNumber=own, JobStatus=own)).mark if own != "" else ""
    assert all(letter in "0123456789abcdef" for letter in mark)


@pytest.mark.parametrize("body", [[QUESTION], QUESTION, [{**QUESTION, "data": json.dumps(QUESTION["data"])}]])
@pytest.mark.parametrize("headers", [{}, {"aeg-event-type": "SubscriptionValidation"}])
def test_the_question_of_event_grid_is_answered(body: object, headers: dict[str, str]) -> None:
    assert read(body, headers) == Handshake("512d38b6")


def test_a_header_alone_makes_it_a_question() -> None:
    asked = {"id": "1", "data": {"validationCode": "c"}}
    assert read([asked], {"aeg-event-type": "subscriptionvalidation"}) == Handshake("c")
    refused([asked], {"aeg-event-type": "Notification"})
    assert read([grid(PAYLOAD)], {"aeg-event-type": "Notification"}) == (hint(grid(PAYLOAD)),)


@pytest.mark.parametrize("data", [None, "", {}, [], {"validationCode": ""}, {"validationCode": 1}, "{"])
def test_a_question_without_a_code_is_refused(data: object) -> None:
    told = refused([{**QUESTION, "data": data}])
    assert told["errors"][0]["pointer"] == "/0"


def kinds(body: object) -> list[str]:
    found = read(body)
    assert isinstance(found, tuple)
    return [event.kind for event in found]


def test_c4_one_foreign_event_spoils_no_others() -> None:
    assert kinds([PAYLOAD, QUESTION, grid("x"), TEST, PAYLOAD]) == ["failed", "foreign", "foreign", "failed"]


@pytest.mark.parametrize("body", [None, True, 1, "x", "", "{", "[1]", {}, [1], [[]], [None], {"a": PAYLOAD}, "{}"])
def test_a_body_that_is_no_event_is_refused(body: object) -> None:
    refused(body)


@pytest.mark.parametrize(
    "data",
    ["", "x", "{'JobId': 1}", '{"JobId": 1, "JobId": 1}', '{"JobId": 1, "a": NaN}', '{"JobId": 1,' + '"a": [' * 99],
)
def test_text_in_a_body_is_read_as_strictly_as_the_body(data: str) -> None:
    refused(grid(data))
    refused(context([{"key": "Payload", "value": data}]))
    refused(cloud(data_base64=base64.b64encode(data.encode()).decode()))


@pytest.mark.parametrize("data", ["", "%", "e30", "/w==", 1, None, base64_of(3)])
def test_base64_that_holds_no_event_is_refused(data: object) -> None:
    refused(cloud(data_base64=data))


def test_a_payload_that_is_too_deep_in_envelopes_is_refused() -> None:
    body: dict[str, Any] = PAYLOAD
    for _ in range(8):
        body = {"data": body}
    assert hint(body).item == JOB
    refused({"data": body})
    refused([[[[[[[[[[PAYLOAD]]]]]]]]]])


def test_where_no_event_is_known_the_first_is_pointed_at() -> None:
    told = refused([TEST, grid("x"), grid("y")])
    assert [one["pointer"] for one in told["errors"]] == ["/1"]
    assert told["names"] == [
        "id",
        "topic",
        "subject",
        "data",
        "eventType",
        "eventTime",
        "metadataVersion",
        "dataVersion",
    ]


@pytest.mark.slow
def test_c4_as_many_events_are_read_as_event_grid_sends() -> None:
    assert len(kinds([PAYLOAD] * 5000)) == 5000
    for body, place in (([TEST] * 5001, "/5000"), ([PAYLOAD, cloud(data=[PAYLOAD] * 5000)], "/1")):
        with pytest.raises(NotValid) as caught:
            read(body)
        assert [one.pointer for one in caught.value.mistakes] == [place]


def test_the_names_of_what_is_not_known_are_told_with_their_path() -> None:
    told = refused(grid('{"JobNumber": 1, "inner": [{"a": 1}, {"a": 2, "b": 3}]}'))["names"]
    assert told[-5:] == ["dataVersion", "data/JobNumber", "data/inner", "data/inner/a", "data/inner/b"]
    told = refused(context([{"key": "Target", "value": entity({"Number": 1})}]))["names"]
    assert "InputParameters/Target/Attributes/mserp_number" in told


@pytest.mark.parametrize(
    "body",
    [
        {f"name {number}": number for number in range(200)},
        [{f"{number}": {"x" * 1000: {"y": number}}} for number in range(90)],
        {"x" * 100_000: [[{"y" * 59: [1] * 100}]] * 1000},
        {"a": [{"": {"": [{"/": 1}]}}]},
    ],
)
def test_names_are_bounded(body: object) -> None:
    told = refused(body)["names"]
    assert 0 < len(told) == len(set(told)) <= 50
    assert all(0 < len(name) <= 60 for name in told)


VALUES = st.recursive(
    st.text(alphabet="XYZ", min_size=1) | st.integers(7_000) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abc", max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["data", "InputParameters", "mserp_x", "a", "type"]), VALUES), st.booleans())
def test_no_value_is_ever_told(value: dict[str, object], in_text: bool) -> None:  # noqa: FBT001 - drawn
    told = refused({"data": json.dumps(value)} if in_text else value)
    assert not set("XYZ7") & set("".join(told["names"]) + told["detail"] + told["errors"][0]["pointer"])


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([json.dumps(PAYLOAD), "[", "{}", base64_of(TEST)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=3)
            | st.sampled_from(
                ["data", "data_base64", "InputParameters", "Attributes", "key", "value", "JobId", "eventType"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON_VALUES, st.sampled_from([{}, {"aeg-event-type": "SubscriptionValidation"}]))
def test_any_body_is_read_or_refused(body: object, headers: dict[str, str]) -> None:
    try:
        found = read(body, headers)
    except (UnknownEvent, NotValid) as problem:
        assert problem.answer().body  # noqa: PT017 - either end is right
    else:
        assert isinstance(found, Handshake) or all(0 < one.item < 2**63 or one.kind == "foreign" for one in found)
