"""A night in plain sentences. Pure functions."""

from collections.abc import Iterable, Iterator, Sequence

from shared.core.outcome import Ending, Recovery
from shared.core.problems import catalogue
from shared.reports.night import (
    BAD,
    Did,
    NightAnswer,
    NightPerson,
    NightState,
    NightTarget,
    NightTotals,
    Reason,
    totals_of,
)
from shared.runs.report import Counts, State

_BECAME = {
    Recovery.RECOVERED: "recovered",
    Recovery.FAILED_AGAIN: "failed again",
    Recovery.STILL_RUNNING: "had not ended when the follow-up ended",
    Recovery.GONE: "gone",
    Recovery.NOT_WATCHED: "not watched",
}
_ENDED = {
    Ending.FAILED: "could not be sent",
    Ending.REJECTED: "rejected",
    Ending.UNKNOWN: "unknown",
    Ending.ROLLED_BACK: "rolled back",
    Ending.NOT_ATTEMPTED: "not attempted",
}
_DID: dict[Did, str] = {
    "apply": "applied the plan",
    "retry": "retried what was left",
    "check": "checked what was unknown",
    "settle": "settled what was unknown",
}
_MOST_REASONS = 3


def sentences(night: NightAnswer, *, quoted: bool = True) -> list[str]:
    """Return a night as a person would tell it: what ran, what recovered, what failed, and what needs a person.

    Without `quoted`, no sentence has what a system said, because that may quote what was sent.
    """
    if night.state == "to come":
        return [f"The night has not begun; it begins at {night.begin:%Y-%m-%d %H:%M} UTC.", *_not_run(night.targets)]
    ran = [one for one in night.targets if one.run]
    return [
        *(["The night is going on."] if night.state == "going on" else []),
        _what_ran(ran, night.totals),
        *_plans(ran),
        *_sent(night.totals.counts, ran),
        *_failed(ran, [night.events.counts, *(one.counts for one in night.people)], night.state, quoted=quoted),
        *_waits(ran),
        *_unlisted(ran),
        *_not_run(night.targets),
        *_events(night.events.runs, night.events.counts, complete=night.events.complete),
        *(_by_hand(one) for one in night.people),
        *_again(night),
        _persons(night.needsPerson),
    ]


def line(state: NightState, targets: Sequence[NightTarget], needs_person: int) -> str:
    """Return a night in one sentence."""
    if state == "to come":
        return "It has not begun."
    totals, begun = totals_of(targets), [one for one in targets if _is_unlisted(one)]
    counts = totals.counts
    parts = [f"{totals.ran} of {_number(totals.targets, 'target')} ran"]
    parts += [f"{count} {word}" for count, word in _told(counts)] or (
        ["nothing was found"] if totals.ran and not begun else []
    )
    parts += [f"{one.target} {_has_begun(one)}" for one in begun]
    if totals.ran and not begun and not is_bad(counts) and not counts.outcome[Ending.PLANNED]:
        parts.append("nothing has failed so far" if state == "going on" else "nothing failed")
    if needs_person:
        parts.append(f"{_number(needs_person, 'thing')} {'needs' if needs_person == 1 else 'need'} a person")
    return f"{'; '.join(parts)}."


def is_bad(counts: Counts) -> bool:
    """Return whether some items are not well: not done, or failed again. Skipped items are well."""
    return any(counts.outcome[one] for one in BAD) or counts.recovery[Recovery.FAILED_AGAIN] > 0


def _told(counts: Counts) -> Iterator[tuple[int, str]]:
    """Yield the numbers of a night in the order in which they are told."""
    yield from _present([(counts.outcome[Ending.PLANNED], "planned"), (counts.outcome[Ending.DONE], "done")])
    yield from _present([(counts.recovery[one], word) for one, word in _BECAME.items()])
    yield from _present([(counts.outcome[one], word) for one, word in _ENDED.items()])
    yield from _present([(counts.outcome[Ending.SKIPPED], "left alone")])


def _present(pairs: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    return ((count, word) for count, word in pairs if count)


def _what_ran(ran: Sequence[NightTarget], totals: NightTotals) -> str:
    names = sorted({one.target for one in ran})
    if not names:
        return "Nothing ran."
    if len(names) == totals.targets:
        return f"{names[0]} ran." if len(names) == 1 else f"All {len(names)} targets ran: {', '.join(names)}."
    return f"{len(names)} of {_number(totals.targets, 'target')} ran: {', '.join(names)}."


def _plans(ran: Iterable[NightTarget]) -> Iterator[str]:
    """Yield a sentence for each plan; one that was applied is told with the person who did it."""
    for one in ran:
        planned = one.counts.outcome[Ending.PLANNED]
        if one.mode != "plan" or one.applied or one.state in (State.RUNNING, State.WAITING):
            continue
        if planned:
            until = f" It can be applied until {one.expires:%Y-%m-%d %H:%M} UTC." if one.expires else ""
            yield f"{one.target}: a plan of {_number(planned, 'item')} was made, and nothing was sent.{until}"
        elif not is_bad(one.counts):
            yield f"{one.target}: the plan has nothing to apply."


def _sent(counts: Counts, ran: Sequence[NightTarget]) -> Iterator[str]:
    # What is watched was sent, also while its outcome is not in the counts yet.
    done = max(counts.outcome[Ending.DONE], sum(counts.recovery.values()))
    left_alone = counts.outcome[Ending.SKIPPED]
    recovered = counts.recovery[Recovery.RECOVERED]
    if done and recovered == done:
        yield "1 item was sent, and it recovered." if done == 1 else f"{done} items were sent, and all recovered."
    elif done:
        became = [
            f"{count} {word}" for count, word in _present((counts.recovery[one], _BECAME[one]) for one in _BECAME)
        ]
        open_yet = done - sum(counts.recovery.values())
        became += [f"{open_yet} not known yet"] if open_yet > 0 else []
        yield f"{_number(done, 'item')} {_were(done)} sent: {', '.join(became)}."
    elif any(one.mode == "apply" for one in ran):
        yield "Nothing was sent."
    if left_alone:
        whose = "its" if left_alone == 1 else "their"
        yield f"{_number(left_alone, 'item')} {_were(left_alone)} left alone, by the policy or by {whose} state."


def _failed(ran: Sequence[NightTarget], others: Iterable[Counts], state: NightState, *, quoted: bool) -> Iterator[str]:
    """Yield what is not well in each target; `others` are the counts of runs of events and people.

    A plan sends nothing, and its items are failures: of plans alone it is not said that nothing failed. Nor is it as
    long as a run does not know its items.
    """
    bad = [one for one in ran if is_bad(one.counts)]
    known = any(one.mode == "apply" for one in ran) and not any(map(_is_unlisted, ran))
    if known and not bad and not any(map(is_bad, others)):
        yield "Nothing has failed so far." if state == "going on" else "Nothing failed."
    for one in bad:
        yield f"{one.target}: {_why(one, quoted=quoted)}"


def _why(one: NightTarget, *, quoted: bool) -> str:
    """Return what is not well in a target, and why: by its items, or by the counts while they are not there yet."""
    if not one.failed:
        again = (one.counts.recovery[Recovery.FAILED_AGAIN], _BECAME[Recovery.FAILED_AGAIN])
        pairs = [*((one.counts.outcome[ending], word) for ending, word in _ENDED.items()), again]
        return f"{', '.join(f'{count} {word}' for count, word in _present(pairs))}."
    told = [_reason(one.target, reason, quoted=quoted) for reason in one.failed[:_MOST_REASONS]]
    more = sum(reason.count for reason in one.failed[_MOST_REASONS:])
    return " ".join([*told, *([f"And {more} more."] if more else [])])


def _reason(target: str, reason: Reason, *, quoted: bool) -> str:
    word = _BECAME[reason.recovery] if reason.recovery else _ENDED.get(reason.outcome, str(reason.outcome))
    # A night that could not list its items has one: the target.
    unlisted = [one.id for one in reason.items] == [target]
    told = "its failures could not be listed" if unlisted else f"{reason.count} {word}{_names(reason)}"
    if not quoted:
        return f"{told}{f' ({catalogue()[reason.type].title})' if reason.type else ''}."
    # The text is that of one item; for several it stands for the others.
    such = "" if reason.count == 1 else "such as: "
    return f"{told} ({such}{_cause(reason).rstrip('.')})."


def _names(reason: Reason) -> str:
    """Return the names of the first items."""
    names = [f"{one.name} ({one.id})" for one in reason.items if one.name]
    more = f" and {reason.count - len(names)} more" if len(names) < reason.count else ""
    return f": {', '.join(names)}{more}" if names else ""


def _cause(reason: Reason) -> str:
    """Return why an item is not well: the cause that the system tells, of one that failed again."""
    if not reason.recovery:
        return reason.reason
    causes = [one.cause for one in reason.items if one.cause]
    return causes[0] if causes else f"{reason.reason.rstrip('.')}; the system tells no cause"


def _waits(ran: Iterable[NightTarget]) -> Iterator[str]:
    for one in ran:
        if one.waits:
            until = f" Until {one.waits.until:%Y-%m-%d %H:%M} UTC." if one.waits.until else ""
            yield f"{one.target} waits: {_ended(one.waits.reason)}{until}"


def _unlisted(ran: Iterable[NightTarget]) -> Iterator[str]:
    return (f"{one.target} {_has_begun(one)}." for one in ran if _is_unlisted(one) and not one.waits)


def _is_unlisted(one: NightTarget) -> bool:
    """Return whether a run goes on that does not know its items yet."""
    return bool(one.run) and one.state in (State.RUNNING, State.WAITING) and not one.counts.items


def _has_begun(one: NightTarget) -> str:
    return f"waits: {one.waits.reason.rstrip('.')}" if one.waits else "has not listed its failures yet"


def _not_run(targets: Iterable[NightTarget]) -> Iterator[str]:
    """Yield a sentence for each reason for which targets have no run."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in targets:
        if one.run is None and one.reason and one.target not in groups.setdefault((one.state, one.reason), []):
            groups[(one.state, one.reason)].append(one.target)
    for (state, reason), names in groups.items():
        word = {"to come": "will run", "nothing to do": "had nothing to do"}.get(state, "did not run")
        yield f"{_listed(names)} {word}: {_ended(reason)}"


def _events(runs: int, counts: Counts, *, complete: bool) -> Iterator[str]:
    if runs:
        became = ", ".join(f"{count} {word}" for count, word in _told(counts))
        more = "" if complete else "more than "
        yield f"Events started {more}{_number(runs, 'run')}{f': {became}' if became else ''}."


def _by_hand(one: NightPerson) -> str:
    became = ", ".join(f"{count} {word}" for count, word in _told(one.counts)) or "no result yet"
    return f"{one.actor} {_DID[one.function]} of {one.target}: {became}."


def _again(night: NightAnswer) -> Iterator[str]:
    """Yield what becomes of jobs that failed again: nobody is needed as long as nights may try them."""
    if night.state == "over" and night.totals.counts.recovery[Recovery.FAILED_AGAIN]:
        yield "The next night tries again what failed again; once its attempts are used up, it needs a person."


def _persons(count: int) -> str:
    if not count:
        return "Nothing needs a person."
    return f"{_number(count, 'thing')} {'needs' if count == 1 else 'need'} a person; see GET needs-person."


def _ended(text: str) -> str:
    return f"{text.rstrip('.')}."


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
