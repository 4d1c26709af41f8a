"""One try at one item, from claim to settle: the only way in which anything is sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from shared import clock
from shared.claims import Claim, Held, InFlight, Lost, Settled
from shared.outcomes import Outcome
from shared.problems import ItemProblem, NoAnswer, OutcomeUnknown
from shared.store import Store

_WATCH = 2.0
"""Seconds that a second delivery watches the first one from inside; after that its run waits by a durable timer."""
_LONGEST_PAUSE = 15.0


class Work(Protocol):
    """What a system does to one item, step by step. It knows nothing of claims, runs or the engine."""

    @property
    def item(self) -> str:
        """The item's id."""
        ...

    @property
    def hold(self) -> timedelta:
        """How long a sending may take before its sender counts as gone."""
        ...

    def look(self) -> str | None:
        """Read the item, and return its failure episode.

        Raises:
            ItemProblem: nothing may be sent, and why.
        """
        ...

    def send(self) -> Outcome:
        """Do it.

        Raises:
            NoAnswer: it may have happened.
            ItemProblem: it didn't happen.
        """
        ...

    def check(self, episode: str | None) -> Outcome:
        """Look at what became of a sending that got no answer, where `episode` is the failure that it met.

        Raises:
            ItemProblem: nothing shows what became of it, or another thing than ours.
        """
        ...


@dataclass(frozen=True)
class Wait:
    """Nothing can be said yet; try again after some seconds."""

    seconds: float


def perform(store: Store, target: str, run: str, work: Work) -> Outcome | Wait:
    """Do the work once, however often this is called for the same run."""
    claim = Claim(store, target, work.item, run, work.hold)
    found = claim.take()
    match found:
        case Settled():
            return found.outcome
        case InFlight():
            return _after_another(claim, work, found)
        case Held():
            return _carry_out(claim, work)


def _carry_out(claim: Claim, work: Work) -> Outcome | Wait:
    try:
        return _looked_and_sent(claim, work)
    except Lost:
        return _watch(claim) or Wait(_WATCH)


def _looked_and_sent(claim: Claim, work: Work) -> Outcome:
    try:
        episode = work.look()
    except ItemProblem as problem:
        return claim.give_up(Outcome.of(problem))
    claim.mark_sent(episode)
    return claim.settle(_sent(work, episode))


def _sent(work: Work, episode: str | None) -> Outcome:
    try:
        return work.send()
    except NoAnswer as problem:
        return _checked(work, episode, problem.detail)
    except ItemProblem as problem:
        return Outcome.of(problem)


def _checked(work: Work, episode: str | None, reason: str) -> Outcome:
    """Let the system show what became of a sending; if it can't, that stays unknown."""
    try:
        return work.check(episode)
    except OutcomeUnknown as problem:
        return Outcome.of(problem)
    except ItemProblem as problem:
        return Outcome.of(OutcomeUnknown(f"{reason} {problem.detail}"))


def _after_another(claim: Claim, work: Work, found: InFlight) -> Outcome | Wait:
    """Wait for the outcome of whoever has sent; when that one is gone for sure, let the system show it."""
    settled = _watch(claim)
    if settled:
        return settled
    left = (found.until - clock.now()).total_seconds()
    if left > 0:
        return Wait(min(left, _LONGEST_PAUSE))
    return claim.settle(_checked(work, found.record.episode, "Its sender is gone."))


def _watch(claim: Claim) -> Outcome | None:
    for pause in _pauses(_WATCH):
        settled = claim.see()
        if settled:
            return settled.outcome
        clock.sleep(pause)
    return None


def _pauses(seconds: float) -> Iterator[float]:
    pause = 0.1
    while seconds > 0:
        yield min(pause, seconds)
        seconds -= pause
        pause *= 2
