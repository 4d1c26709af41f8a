"""Reads a POST to `finance-operations/events`: which batch jobs to check.

An event is only a hint. It has no error message, may be late, repeated or out of order, and anyone with the route's key
can forge one. The job, read from the system, decides. This is F&O's payload of its four batch events (System business
events), with the names of the schema that F&O offers for download; the values of `BusinessEventId` are not documented:

    {"BusinessEventId": "...", "ControlNumber": 5637166326, "EventId": "...", "JobId": 5637144245, "JobStatus": "Error"}

The body has one of these forms, which may be nested:

    payload, or [payload, ...]                                              HTTPS, a flow
    [{"eventType": ..., "data": payload or its JSON text}, ...]             Event Grid's own schema
    {"specversion": "1.0", "data": ... or "data_base64": ...}, or a list    CloudEvents 1.0, JSON format
    {"MessageName": ..., "InputParameters": [{"key": ..., "value": ...}]}   a Dataverse webhook (RemoteExecutionContext)

The parameters of a webhook are the payload's members, or one of them is the payload: an entity (`Target`, with such
pairs as its `Attributes`), an object, or JSON text. Dataverse adds a prefix to names and writes them in lower case
(`mserp_jobid`), so case, underscores and one prefix are ignored.
"""

import base64
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Literal, Never

from pydantic import ConfigDict, TypeAdapter, ValidationError

from shared.core.problems import Mistake, NotJson, NotValid, UnknownEvent
from shared.systems.contract import Event, Handshake
from shared.systems.finance_operations.jobs import Status
from shared.validation.body import parse
from shared.validation.models import Int64Id

Kind = Literal["failed", "ended", "started", "unknown"]

MOST_EVENTS, MOST_NAMES, LONGEST_NAME = 5000, 50, 60

_DEEPEST = 8  # maximum nesting of envelopes and lists; no form is as deep
_VALIDATION = "microsoft.eventgrid.subscriptionvalidationevent"
# Sent when an endpoint is created in F&O, and when a subscription of Event Grid is deleted.
_WITHOUT_JOBS = ("businesseventstestendpointcontract", "microsoft.eventgrid.subscriptiondeletedevent")
_WORDS: Mapping[Kind, str] = {"failed": "fail|error", "ended": "finish|ended|cancel", "started": "started|executing"}
_PAIR = {"key", "value"}
_ENVELOPE = ("data", "database64", "inputparameters", "attributes")
_TITLES = ("messagename", "eventtype", "type")
_KNOWN = {"jobid", "jobstatus", "businesseventid", "eventid", "controlnumber", *_ENVELOPE, *_TITLES}
_JOB: TypeAdapter[int] = TypeAdapter(
    Int64Id, config=ConfigDict(strict=True, hide_input_in_errors=True, defer_build=True)
)


@dataclass(frozen=True)
class _Event:
    """One payload, with normalized member names; `whole` is the value that contained it."""

    place: str
    whole: object
    digest: str
    fields: Mapping[str, object]


def read_events(body: object, headers: Mapping[str, str]) -> Handshake | tuple[Event, ...]:
    """Return the events in a body; `headers` have lower-case names.

    Events about no job, such as the test of an endpoint, are left out. Of several events, those that are not known are
    `foreign`: Event Grid would deliver all of them again because of one.

    Raises:
        UnknownEvent: no event names a job.
        NotValid: there are more than 5,000 events, which Event Grid does not send.
    """
    if handshake := _handshake(body, headers):
        return handshake
    found = list(islice(_events(body), MOST_EVENTS + 1))
    if len(found) > MOST_EVENTS:
        raise NotValid.of(Mistake(f"there are more than {MOST_EVENTS} events", found[-1].place))
    given = [event for event in found if not _about_no_job(event.fields)]
    if given and not any(map(_names_job, given)):
        _refuse(given[0].whole, given[0].place)
    return tuple(_event_of(event) if _names_job(event) else Event(0, "foreign", "") for event in given)


def _handshake(body: object, headers: Mapping[str, str]) -> Handshake | None:
    """Return Event Grid's validation request, which is alone in its list."""
    whole = body[0] if isinstance(body, list) and len(body) == 1 else body
    fields = _fields(whole)
    declared = headers.get("aeg-event-type", "").strip().lower() == "subscriptionvalidation"
    if not declared and str(fields.get("eventtype")).lower() != _VALIDATION:
        return None
    data = _opened(fields.get("data"))
    code = data.get("validationCode") if isinstance(data, dict) else None
    return Handshake(code) if code and isinstance(code, str) else _refuse(whole, "" if whole is body else "/0")


def _events(body: object) -> Iterator[_Event]:
    for place, whole in enumerate(body) if isinstance(body, list) else [(None, body)]:
        path, digest = "" if place is None else f"/{place}", _hash("bytes", whole)
        yield from (_Event(path, whole, digest, fields) for fields in _payloads(whole, None, _DEEPEST))


def _payloads(value: object, title: object, depth: int) -> Iterator[dict[str, object]]:
    """Yield the payloads in a value; an unknown value becomes a payload without a job, so that it is refused.

    The title of the outermost envelope replaces a missing `BusinessEventId`: Dataverse has the event's name there.
    """
    here = _opened(value)
    if isinstance(here, list) and here and depth:
        for one in here:
            yield from _payloads(one, title, depth - 1)
        return
    fields = _fields(here)
    title = title or next((fields[name] for name in _TITLES if fields.get(name)), None)
    inside = None if "jobid" in fields else _inside(fields)
    if inside is not None and depth:
        yield from _payloads(inside, title, depth - 1)
    else:
        yield {"businesseventid": title, **fields}


def _inside(fields: Mapping[str, object]) -> object:
    """Return the content of an envelope; None if the value is not an envelope."""
    name = next((name for name in _ENVELOPE if fields.get(name) is not None), "")
    return {"database64": _decoded, "inputparameters": _parameters}.get(name, _opened)(fields.get(name))


def _parameters(value: object) -> object:
    """Return the parameters if they are the payload, otherwise those that contain one."""
    here = _opened(value)
    if not isinstance(here, dict) or "jobid" in _fields(here):
        return here
    return [one for one in here.values() if _holds_payload(one)] or here


def _holds_payload(value: object) -> bool:
    fields = _fields(_opened(value))
    own = "jobid" in fields or "businesseventid" in fields
    return own or ("attributes" in fields and _holds_payload(fields["attributes"]))


def _decoded(value: object) -> object:
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except ValueError:
        return None


def _opened(value: object) -> object:
    """Return the JSON in a text, and a list of pairs as an object; any other value unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            value = parse(value.encode())
        except NotJson:
            return value
    pairs = [one for one in value if isinstance(one, dict) and set(one) == _PAIR] if isinstance(value, list) else []
    named = {str(pair["key"]): pair["value"] for pair in pairs}
    # A list with a repeated name contradicts itself, as an object would.
    return named if isinstance(value, list) and 0 < len(value) == len(named) else value


def _fields(value: object) -> dict[str, object]:
    """Return the known members of an object by normalized name; a name without a prefix takes precedence."""
    exact: dict[str, object] = {}
    prefixed: dict[str, object] = {}
    for name, one in value.items() if isinstance(value, dict) else ():
        found, plain = exact, re.sub(r"[_\s]", "", name).lower()
        if plain not in _KNOWN:
            found, plain = prefixed, re.sub(r"^[a-z][a-z0-9]{1,7}_|_|\s", "", name.lower())
        if plain in _KNOWN:
            # Contradictory values count as none.
            found[plain] = one if found.get(plain, one) == one else None
    return {**prefixed, **exact}


def _about_no_job(fields: Mapping[str, object]) -> bool:
    # In the schema that F&O offers for download, the ids are empty and JobId is 0. People send it to test the route. An
    # event that lost its job on the way has an id, and must be refused.
    title = str(fields.get("businesseventid")).lower()
    sample = (title, fields.get("eventid"), str(fields.get("jobid"))) == ("", "", "0")
    return sample or any(name in title for name in _WITHOUT_JOBS)


def _names_job(event: _Event) -> bool:
    try:
        _JOB.validate_python(event.fields.get("jobid"))
    except ValidationError:
        return False
    return True


def _event_of(event: _Event) -> Event:
    job = _JOB.validate_python(event.fields.get("jobid"))
    return Event(job, _kind(event.fields), *_mark(event, job))


def _kind(fields: Mapping[str, object]) -> Kind:
    """Return the kind of an event by its status or name; a failure in either wins."""
    text = f"{_status(fields.get('jobstatus'))} {fields.get('businesseventid')}".lower()
    return next((kind for kind, words in _WORDS.items() if re.search(words, text)), "unknown")


def _status(value: object) -> str:
    """Return a status as text; a number is a value of BatchStatus, and Dataverse may have it in `Value`."""
    value = value.get("Value") if isinstance(value, dict) else value
    text = str(value) if isinstance(value, str | int) else ""
    return list(Status)[int(text)] if re.fullmatch(r"[0-9]", text) else text


def _mark(event: _Event, job: int) -> tuple[str, bool]:
    """Return what identifies the event, as a hash of fixed length, and whether it does so for ever."""
    own, name, number = (str(event.fields.get(key) or "") for key in ("eventid", "businesseventid", "controlnumber"))
    own = own.strip("{} ").lower()
    if own.strip("0-"):
        return _hash("event", own), True
    # Otherwise the whole body identifies it: an envelope has its own id.
    if name and number:
        return _hash("control", name.lower(), job, number), True
    return _hash(event.digest, event.fields), False


def _hash(*parts: object) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _refuse(whole: object, place: str) -> Never:
    names = list(islice(_names(whole), MOST_NAMES))
    mistakes = (Mistake("is not an event that names a batch job", place),)
    raise UnknownEvent("An event names no batch job.", mistakes=mistakes, members={"names": names})


def _names(whole: object) -> Iterator[str]:
    """Yield each member name once, as a path, outer names first; a long path is cut to its end. Never a value."""
    seen: set[str] = {""}
    waiting: deque[tuple[str, object]] = deque([("", whole)])
    while waiting:
        path, value = waiting.popleft()
        if path not in seen:
            seen.add(path)
            yield path
        here = _opened(value)
        if isinstance(here, dict):
            waiting.extend((f"{path}/{name}".lstrip("/")[-LONGEST_NAME:], one) for name, one in here.items())
        elif isinstance(here, list):
            waiting.extend((path, one) for one in here)
