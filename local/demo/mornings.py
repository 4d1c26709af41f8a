"""One night over all five systems, as the person on call sees it: at 03:10, while it is stopped, and at 06:30."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from local.demo import person
from local.demo.one_night import DATABASE, INTERFACES, PAYROLL, WHY, fill, line_is_there
from local.demo.stage import Scene, Stage, counted, leaps

_Json = Mapping[str, Any]
_TAKEN = "The database team works on it"
_LOOKED = "The line is in the journal"
_LONG_ID = re.compile(r"\b(\d{8}-[0-9a-f]{4})[0-9a-f]{16}\b")
_ENDED = {
    "bc": {"done": 1},
    "camunda": {"failed": 1},
    "fo": {"done": sum(INTERFACES.values()) + 1},
    "opendatadsl": {"done": 1},
    "superoffice": {"done": 1},
}
"""How the items of the night end, by target."""


@leaps
def _is_stopped(stage: Stage) -> Scene:
    scene = Scene("03:10, a database is down: what is known in the middle of the night, and what to do")
    fill(stage)
    before, posted = stage.system.jobs.executions(), len(stage.cards)
    stage.push_to(3, 10)
    cost, date = stage.system.jobs.executions() - before, _date(stage)
    night, needs = stage.read(f"nights/{date}"), stage.read("needs-person?target=fo")["value"]
    run = stage.read(f"runs/{needs[0]['run']}?limit=1")
    groups = stage.read("failures?target=fo&by=job")["value"]
    scene.answer = [
        "to each of these calls:",
        *_said(f"GET nights/{date}", night["summary"]),
        *_said("GET needs-person?target=fo", map(_need, needs)),
        *_said("GET runs/{id}", _progress(run)),
        *_said("GET failures?target=fo&by=job", map(_group, groups)),
    ]
    _is_told(scene, night, needs, run, groups)
    scene.promises["a card in the channel of the people on call says so, too"] = (
        len([card for card in stage.cards[posted:] if _has(card, "fo: Stopped: ")]) == 1
    )
    scene.promises[f"by 03:10 it had cost {cost} executions: 5, and one each half hour"] = cost <= 5 + 3
    _is_acknowledged(stage, scene, needs[0]["id"])
    _is_mended(stage, scene, run["id"])
    scene.call = "GET nights/{date}, needs-person, runs/{id}, failures?by=job; POST needs-person/{id}/acknowledge"
    return scene


def _is_told(scene: Scene, night: _Json, needs: Sequence[_Json], run: _Json, groups: Sequence[_Json]) -> None:
    scene.promises["one call tells of all systems: the night goes on, and what it waits for"] = (
        night["state"] == "going on"
        and {one["target"] for one in night["targets"]} == set(_ENDED)
        and _has(night["summary"], "fo waits: ")
    )
    scene.promises["what needs a person is known while it lasts, with what to do next"] = [
        one["kind"] for one in needs
    ] == ["cause-stopped"] and f"GET runs/{run['id']}" in needs[0]["next"]
    cause, counts = run["causes"][0], run["counts"]
    scene.promises["the run says how many are left, and when it tries the next one"] = (
        (run["state"], cause["status"]) == ("running", "stopped")
        and counts["open"] == cause["left"] == counts["items"] - cause["failedAgain"] > 0
        and run["waits"]["until"] == cause["nextProbe"] > f"{night['night']}T03:10"
    )
    scene.promises["the failures are grouped by job, with what the policy says"] = {
        one["key"]: one["policy"]["allow"] for one in groups
    } == {**INTERFACES, PAYROLL: 1}


def _is_acknowledged(stage: Stage, scene: Scene, need: str) -> None:
    """Take note of a need, so that no other person does the same."""
    answer = stage.post(Scene(""), f"/api/needs-person/{need}/acknowledge", {"reason": _TAKEN})
    taken, scene.status = answer.json()["acknowledged"], answer.status_code
    line = f"{_time(taken['at'])} {taken['byName']}: {taken['reason']}"
    scene.answer += _said("POST needs-person/{id}/acknowledge", [line])
    listed = stage.read("needs-person?target=fo")["value"]
    kept = stage.read("needs-person?target=fo&acknowledged=true")["value"]
    scene.promises["acknowledged, it is off the list, and kept with who and why"] = (
        not listed
        and [one["acknowledged"] for one in kept] == [taken]
        and (taken["byName"], taken["reason"]) == (person.NAME, _TAKEN)
    )


def _is_mended(stage: Stage, scene: Scene, run: str) -> None:
    """Mend the database; nobody tells the run of it."""
    stage.system.jobs.mend(DATABASE)
    told = stage.push_until_ended(run)
    became = counted(told, "recovery")
    notes = [f"{_time(note['at'])} {note['text']}" for note in told["notes"]]
    scene.answer += _said("GET runs/{id}, once the database is back", [*notes, f"At the end: {became}"])
    scene.promises["once the database was back, the next probe went on by itself, and all that needed it recovered"] = [
        note["text"].partition(":")[0] for note in told["notes"]
    ] == ["Stopped", "Went on"] and became["recovered"] == sum(INTERFACES.values())
    stopped = stage.read("needs-person?kind=cause-stopped")["value"]
    stopped += stage.read("needs-person?kind=cause-stopped&acknowledged=true")["value"]
    scene.promises["then it needed nobody any more"] = not stopped


@leaps
def _is_over(stage: Stage) -> Scene:
    scene = Scene("06:30, the morning after: five questions, and one call answers each")
    stage.push_to(6, 30)
    scene.answer = ["to each of these calls:"]
    night = _is_why(stage, scene)
    needs = _is_for_me(stage, scene)
    _is_about_one_job(stage, scene)
    _is_posted(stage, scene, night, needs)
    of = {one["kind"]: one for one in needs}
    _is_settled(stage, scene, of["unknown"]["run"])
    _is_back(stage, scene, of["target-unusable"])
    scene.call = "GET failures?by=job, nights/{date}, needs-person, items/fo/{id}, audit; POST runs/{id}/settle, sweeps"
    return scene


def _is_why(stage: Stage, scene: Scene) -> _Json:
    failures, night = stage.read("failures?by=job"), stage.read(f"nights/{_date(stage)}")
    unread = [f"Not read: {one['reason']}" for one in failures["unreadable"]]
    scene.answer += _said("What failed?  GET failures?by=job", [*map(_group, failures["value"]), *unread])
    scene.answer += _said(f"Why?  GET nights/{night['night']}", night["summary"])
    scene.promises["What failed? The job that is not well; and Camunda can't be read, so there may be more"] = (
        {one["key"]: one["count"] for one in failures["value"]} == {PAYROLL: 1}
        and [one["target"] for one in failures["unreadable"]] == ["camunda"]
        and not failures["complete"]
    )
    told = {one["target"]: counted(one) for one in night["targets"]}
    scene.promises["Why? Told of each of five systems; the one that is away has stopped no other one"] = (
        (night["state"], told) == ("over", _ENDED)
        and _has(night["summary"], "fo: 1 failed again")
        and _has(night["summary"], "camunda: its failures could not be listed")
    )
    return night


def _is_for_me(stage: Stage, scene: Scene) -> list[_Json]:
    needs: list[_Json] = stage.read("needs-person")["value"]
    scene.answer += _said("What needs me?  GET needs-person", map(_need, needs))
    scene.promises["What needs me? A system that is away, a call that may have worked, a job out of attempts"] = [
        (one["kind"], one["target"]) for one in needs
    ] == [("target-unusable", "camunda"), ("unknown", "bc"), ("attempts-used-up", "fo")]
    return needs


def _is_about_one_job(stage: Stage, scene: Scene) -> None:
    job = {one.description: one.id for one in stage.system.jobs.all()}[PAYROLL]
    item = stage.read(f"items/fo/{job}")
    scene.answer += _said(f"What happened to job {job}?  GET items/fo/{job}", map(_event, item["value"]))
    scene.promises["What happened to the job? It failed again after each of three attempts, and was then left"] = [
        (one["function"], one["outcome"], one["recovery"]) for one in item["value"]
    ] == [
        ("nightly_requeue", "skipped", None),
        ("nightly_requeue", "done", "failed_again"),
        ("nightly_requeue", "done", "failed_again"),
        ("requeue", "done", "failed_again"),
    ] and len({one["recoveryReason"] for one in item["value"]}) == len(item["value"])
    sent = stage.read(f"audit?target=fo&item={job}&kind=intent")["value"]
    scene.answer += _said(f"Who requeued it?  GET audit?target=fo&item={job}&kind=intent", map(_entry, sent))
    scene.promises["Who requeued it? A person, by the name that sign-in proved, and why; then twice the night"] = [
        (one["actorName"] or one["actor"], one["proven"]) for one in sent
    ] == [("nightly_requeue", False), ("nightly_requeue", False), (person.NAME, True)] and sent[-1]["reason"] == WHY


def _is_posted(stage: Stage, scene: Scene, night: _Json, needs: Sequence[_Json]) -> None:
    """Read the card of the night; what the answers before have told is not shown twice."""
    cards = [card for card in stage.cards if card[0].endswith(f"the night of {night['night']}")]
    told = {*night["summary"], *(f"{one['target']}: {one['text']}" for one in needs), *(one["next"] for one in needs)}
    lines = [text for text in cards[0] if text not in told]
    scene.answer += _said("The card in the channel has all of this, and", lines)
    scene.promises["a card told it in the channel, once, when the night was over"] = (
        len(cards) == 1
        and _has(lines, "fo: 1 failed again: Post payroll journal")
        and _has(lines, "fo: ended; 61 done")
    )


def _is_settled(stage: Stage, scene: Scene, run: str) -> None:
    """Look into the system, as the need says, and record what became of the call."""
    body = {"happened": line_is_there(stage), "reason": _LOOKED}
    answer = stage.post(Scene(""), f"/api/runs/{run}/settle", body)
    items, scene.status = answer.json()["items"], answer.status_code
    lines = [f"{one['id']} {one['outcome']}: {one['reason']}" for one in items]
    scene.answer += _said(f"POST runs/{{id}}/settle {json.dumps(body)}", lines)
    scene.promises["a person has looked, and settled the call that may have worked: it needs nobody any more"] = [
        one["outcome"] for one in items
    ] == ["done"] and _kinds(stage) == ["target-unusable", "attempts-used-up"]


def _is_back(stage: Stage, scene: Scene, need: _Json) -> None:
    """Let Camunda answer again, and do what the need says."""
    stage.machine.landscape.camunda.faults.clear()
    body = {"target": "camunda", "apply": True, "reason": "Camunda is back"}
    swept = stage.post_pushing(Scene(""), "/api/sweeps", body).json()
    scene.answer += _said(f"POST sweeps {json.dumps(body)}", [f"{swept['state']}: {counted(swept)}"])
    scene.promises["Camunda is back; the sweep that the need names does what the night could not"] = (
        "POST sweeps" in need["next"] and counted(swept) == {"done": 1} and _kinds(stage) == ["attempts-used-up"]
    )


AT_NIGHT: tuple[Callable[[Stage], Scene], ...] = (_is_stopped, _is_over)
"""Scenes of an app whose nights apply what they find, and tell people; the second is the morning of the first."""


def _date(stage: Stage) -> str:
    return f"{stage.machine.clock.now():%Y-%m-%d}"


def _kinds(stage: Stage) -> list[str]:
    return [one["kind"] for one in stage.read("needs-person")["value"]]


def _has(texts: Sequence[str], begin: str) -> bool:
    return any(text.startswith(begin) for text in texts)


def _said(call: str, texts: Iterable[str]) -> list[str]:
    """Return a call, and what it said, on a line each; long ids are cut."""
    return [call, *(f"  {_LONG_ID.sub(r'\1...', text)}" for text in texts)]


def _need(need: _Json) -> str:
    return f"{need['kind']}, {need['target']}: {need['text']} Next: {need['next']}"


def _progress(run: _Json) -> list[str]:
    cause, counts, waits = run["causes"][0], run["counts"], run["waits"]
    tried = f"{cause['tried']} tried, {cause['failedAgain']} failed again, next probe at {_time(cause['nextProbe'])}."
    return [
        f"{run['state']}: {counts['items']} items, {counts['open']} of them open.",
        f"cause {cause['status']}: {tried}",
        f"waits until {_time(waits['until'])}: {waits['reason']}",
    ]


def _group(group: _Json) -> str:
    return f"{group['count']} {group['key']}; the policy allows {group['policy']['allow']}"


def _event(event: _Json) -> str:
    return f"{_time(event['at'])} {event['function']}: {event['outcome']}. {event['recoveryReason'] or event['detail']}"


def _entry(entry: _Json) -> str:
    who = f"{entry['actorName']} (signed in)" if entry["proven"] else f"{entry['actor']} ({entry['origin']})"
    return f"{_time(entry['at'])} {who}: {entry['reason']}"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%H:%M}"
