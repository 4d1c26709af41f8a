"""Everything that can go wrong, and what the caller should do next.

A `Problem` is an exception and an HTTP answer at once (RFC 9457, `application/problem+json`). Code raises it; the edge
answers it. `docs/problems.md` lists each type; a test holds the two together.

    Problem
    |-- Refused                  nothing was started: change the request
    |   |-- BodyMissing          400  send the JSON that the function takes
    |   |-- NotJson              400  mend the JSON
    |   |-- KeyNotValid          400  send a shorter or plainer Idempotency-Key
    |   |-- UnknownTarget        404  name a target that the settings have
    |   |-- UnknownRun           404  look at the run's id and ticket
    |   |-- NotAPlan             409  apply the plan that a dry run or a sweep answered
    |   |-- IsAPlan              409  apply it; a plan is not retried
    |   |-- RunOpen              409  wait for the run's end, or cancel it
    |   |-- RunEnded             409  nothing: there is nothing left to cancel
    |   |-- Expired              410  read the run's report; nothing is sent again
    |   |-- PlanExpired          410  make a new plan
    |   |-- LengthRequired       411  send Content-Length
    |   |-- PolicyChanged        412  read the policy again
    |   |-- TooLarge             413  send less
    |   |-- WrongMediaType       415  send application/json
    |   |-- NotValid             422  mend each mistake that is pointed at
    |   |-- UnknownEvent         422  send the system's event as it is
    |   |-- KeyReused            422  use a new Idempotency-Key for a new request
    |   |-- PlanApplied          422  make a new plan for another selection
    |   |-- TargetOff            424  mend the target's settings
    |   `-- VersionRequired      428  send If-Match with the policy's ETag
    |-- NotReady                 503  repeat later; the only problem that may be repeated as it is
    `-- ItemProblem              a run ended, and its one item did not end well
        |-- Skipped              409  policy or state said no; nothing was sent
        |   |-- ItemRunning           wait for the item's end
        |   |-- ItemWaiting           nothing: it is about to run
        |   |-- ItemNotFailed         allow its state by the option, or leave it
        |   |-- ItemOfBatch           look at its batch, or name it by its id
        |   |-- ItemChanged           make a new plan
        |   |-- ItemClaimed           wait for the other run
        |   |-- PolicyDenied          change the policy, or override it with a reason
        |   |-- AttemptsUsedUp        look why it fails every time
        |   |-- TooSoon               wait for the time that the policy names
        |   |-- LeftToSweep           nothing: the next sweep looks at it
        |   |-- DependencyFailed      mend what it depends on
        |   `-- OverCap               raise the cap, or run it again for the rest
        |-- NotAttempted         409  the run ended before the item's turn came
        |   |-- Stopped               resume, then retry the run
        |   |-- WindowEnded           retry the run, or let the next night find it
        |   |-- CauseStopped          mend the cause, then retry the run
        |   |-- BatchStopped          mend what failed before it, then retry the run
        |   |-- Cancelled             retry the run, if it should go on
        |   `-- RunClosed             call again, or retry the run
        |-- Rejected             422  the system said no
        |   |-- ItemNotFound          look at the id
        |   |-- NotSupported          leave out what the system is too old for
        |   `-- RefusedBySystem       read what the system said
        |-- Failed               424  it never took effect: mend the cause, then call again
        |   |-- CredentialsRefused    mend the target's credential
        |   |-- IssuerUnavailable     call again when the token issuer is back
        |   |-- AccessDenied          give the caller's user the right in the system
        |   |-- TargetUnreachable     call again when the system is back
        |   |   `-- TooLate           (its time was over before it could be sent; its run tries again)
        |   |-- TargetLost            mend the target's settings
        |   |-- Throttled             call again later
        |   |-- NotTaken              retry the run
        |   `-- AnswerNotUnderstood   look at the target's URL
        |-- RolledBack           409  mend what failed in the same batch, then send all of it again
        |-- OutcomeUnknown       409  look at the item in the system before anything else
        |   `-- NoAnswer              (raised by the transport; ends as OutcomeUnknown when nothing shows more)
        |       `-- TimedOut          (the system itself gave up: the same, but less may do better)
        `-- RunBroken            409  look at the item, then tell the people who run this app

    StoreError                   what the store may say
    |-- Exists                   a record with this key is there already
    `-- Changed                  the record is not what it was when it was read
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shared.answers import Answer, to_json

MOST_MISTAKES = 100
PREFIX = "urn:nightshift:problem:"


@dataclass(frozen=True)
class Mistake:
    """One mistake in a request, and where it is.

    `pointer` is a JSON Pointer (RFC 6901) into the body; `header` or `parameter` (of the query) names another place.
    """

    detail: str
    pointer: str | None = None
    header: str | None = None
    parameter: str | None = None

    def content(self) -> dict[str, str]:
        """Return it as a member of `errors` (RFC 9457, section 3)."""
        found = {
            "detail": self.detail,
            "pointer": self.pointer,
            "header": self.header,
            "parameter": self.parameter,
        }
        return {name: value for name, value in found.items() if value is not None}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """An answer that is not what the caller asked for."""

    slug: ClassVar[str] = ""
    status: ClassVar[int] = 0
    title: ClassVar[str] = ""
    next_step: ClassVar[str] = ""

    def __init__(
        self,
        detail: str,
        *,
        mistakes: tuple[Mistake, ...] = (),
        run: str | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.mistakes = mistakes
        self.run = run
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        named = f" (run {self.run})" if self.run else ""
        return f"{self.slug}: {self.detail} {self.next_step}{named}"

    def content(self) -> dict[str, Any]:
        """Return the problem's members (RFC 9457, section 3); `next` says what the caller should do."""
        found: dict[str, Any] = {
            "type": PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "next": self.next_step,
            **self.members,
        }
        if self.run:
            found["run"] = self.run
        if self.mistakes:
            found["errors"] = [mistake.content() for mistake in self.mistakes]
        return found

    def answer(self) -> Answer:
        """Return the problem as an HTTP answer."""
        named = {"Nightshift-Run": self.run} if self.run else {}
        return Answer(self.status, to_json(self.content()), "application/problem+json", {**named, **self.headers})


class Refused(Problem):
    """The request was refused before anything was started."""


class BodyMissing(Refused):
    """A request without a body, where one is needed."""

    slug, status, title = "body-missing", 400, "The request has no body"
    next_step = "Send the JSON object that this function takes."


class NotJson(Refused):
    """A body that can't be read."""

    slug, status, title = "not-json", 400, "The body cannot be read as JSON"
    next_step = "Send one JSON value in UTF-8 (RFC 8259), each name once in an object, numbers finite."


class KeyNotValid(Refused):
    """An Idempotency-Key that can't be used."""

    slug, status, title = "idempotency-key-not-valid", 400, "The Idempotency-Key cannot be used"
    next_step = "Send 1 to 255 visible ASCII characters, such as a UUID, with or without double quotes."


class UnknownTarget(Refused):
    """A target that the settings don't have."""

    slug, status, title = "unknown-target", 404, "There is no such target"
    next_step = "Name a target that the app's settings have (TARGETS__{NAME}__...)."


class UnknownRun(Refused):
    """A run that isn't there, or a ticket that doesn't open it."""

    slug, status, title = "unknown-run", 404, "There is no such run"
    next_step = "Use the Location as it was answered, or the id in the header Nightshift-Run."


class Expired(Refused):
    """A result that is kept no longer."""

    slug, status, title = "expired", 410, "The result is kept no longer"
    next_step = "Read the run's report. Nothing is sent again under this key; for a new attempt use a new one."


class NotAPlan(Refused):
    """A run that is no plan, or not one yet."""

    slug, status, title = "not-a-plan", 409, "The run is not a plan"
    next_step = "Apply the run that a dry run or a sweep answered, once it has ended."


class IsAPlan(Refused):
    """A plan, where a run that did something is needed."""

    slug, status, title = "is-a-plan", 409, "The run is a plan, and has done nothing"
    next_step = "Apply it as long as it may be applied, or make a new one."


class RunOpen(Refused):
    """A run that hasn't ended."""

    slug, status, title = "run-open", 409, "The run has not ended"
    next_step = "Wait for its end, or cancel it."


class RunEnded(Refused):
    """A run that has ended."""

    slug, status, title = "run-ended", 409, "The run has ended"
    next_step = "Nothing is left to cancel; read its report."


class PlanExpired(Refused):
    """A plan that is too old."""

    slug, status, title = "plan-expired", 410, "The plan is too old to be applied"
    next_step = "Make a new plan: what failed since then is not in this one."


class PolicyChanged(Refused):
    """The policy isn't the one that the caller has seen."""

    slug, status, title = "policy-changed", 412, "The policy has changed meanwhile"
    next_step = "Read the policy again, and make the change to that version."


class PlanApplied(Refused):
    """A plan that was applied in another way."""

    slug, status, title = "plan-applied", 422, "The plan was applied with another selection"
    next_step = "Read the run that applied it; for another selection make a new plan."


class VersionRequired(Refused):
    """A change to the policy that doesn't say to which version."""

    slug, status, title = "version-required", 428, "The request must say which version it changes"
    next_step = "Send If-Match with the ETag that GET policy answered."


class LengthRequired(Refused):
    """A chunked body, which the Functions host drops."""

    slug, status, title = "length-required", 411, "The request needs a Content-Length"
    next_step = (
        "Send the body with Content-Length, not with Transfer-Encoding: chunked; the Functions host drops chunks."
    )


class TooLarge(Refused):
    """A body that is larger than MAX_BODY."""

    slug, status, title = "too-large", 413, "The body is too large"
    next_step = "Send less at once, or raise the setting MAX_BODY."


class WrongMediaType(Refused):
    """A body that isn't declared as JSON."""

    slug, status, title = "wrong-media-type", 415, "The body is not declared as JSON"
    next_step = "Send Content-Type: application/json."


class NotValid(Refused):
    """A body or header that can be read, but doesn't mean anything here."""

    slug, status, title = "not-valid", 422, "The request is not valid"
    next_step = "Mend each of the errors; nothing was sent."

    @classmethod
    def of(cls, *mistakes: Mistake) -> "NotValid":
        """Return the problem of some mistakes, of which the first 100 are told."""
        told = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        return cls(f"The request has {told}.", mistakes=mistakes[:MOST_MISTAKES])


class UnknownEvent(Refused):
    """An event in a shape that isn't known, or without a job; `names` tells the names that it has."""

    slug, status, title = "event-not-known", 422, "The event is not one that is known here"
    next_step = "Send the event as the system made it, directly, by Event Grid or by a Dataverse webhook; see names."


class KeyReused(Refused):
    """An Idempotency-Key that another request has used."""

    slug, status, title = "idempotency-key-reused", 422, "The Idempotency-Key belongs to another request"
    next_step = "Use a new key for a new request; repeat a request with the same bytes for the same target."


class TargetOff(Refused):
    """A target whose settings are wrong."""

    slug, status, title = "target-off", 424, "The target is switched off, because its settings are wrong"
    next_step = "Mend the app settings that are named; the app starts again by itself."


class NotReady(Problem):
    """The app can't work at the moment."""

    slug, status, title = "not-ready", 503, "The app is not ready"
    next_step = "Repeat the request later, as it is."


class ItemProblem(Problem):
    """A run ended, and its one item did not end well."""


class Skipped(ItemProblem):
    """Policy or the item's state said no; nothing was sent."""


class ItemRunning(Skipped):
    """The item runs at the moment."""

    slug, status, title = "item-running", 409, "The item is running"
    next_step = "Wait for its end; a running item is never started again."


class ItemWaiting(Skipped):
    """The item waits for its start already."""

    slug, status, title = "item-waiting", 409, "The item is waiting to run already"
    next_step = "Nothing needs to be done: the system is about to run it."


class ItemNotFailed(Skipped):
    """The item is in a state which wasn't asked for."""

    slug, status, title = "item-not-failed", 409, "The item is in a state that was not asked for"
    next_step = (
        "Leave it, or change its state in the system; where the function takes fromStatuses, name what you mean."
    )


class ItemOfBatch(Skipped):
    """The item is a part of a batch's own machinery, which no machine starts again."""

    slug, status, title = "item-of-batch", 409, "The item is a batch's own"
    next_step = "Look at the batch: what it is about may be gone. Name the job by its id if it is meant all the same."


class ItemChanged(Skipped):
    """The item shows another failure than the planned one."""

    slug, status, title = "item-changed", 409, "The item changed since it was planned"
    next_step = "Make a new plan, and look at it again."


class PolicyDenied(Skipped):
    """The policy says no."""

    slug, status, title = "policy-denied", 409, "The policy does not allow it"
    next_step = "Change the policy, or send override with a reason where no rule denies it."


class AttemptsUsedUp(Skipped):
    """It failed too often in a row."""

    slug, status, title = "attempts-used-up", 409, "It failed as often in a row as is allowed"
    next_step = (
        "It needs a person: look why it fails every time; by hand, or with override and a reason, it is tried again."
    )


class TooSoon(Skipped):
    """The policy wants to wait longer between two attempts."""

    slug, status, title = "too-soon", 409, "The policy wants to wait longer between two attempts"
    next_step = "Wait until the time that is named."


class LeftToSweep(Skipped):
    """Events have tried it often enough."""

    slug, status, title = "left-to-sweep", 409, "Events have tried it as often as they may"
    next_step = "Nothing needs to be done: the next sweep looks at it."


class DependencyFailed(Skipped):
    """What it depends on is not done."""

    slug, status, title = "dependency-failed", 409, "An operation that it depends on is not done"
    next_step = "Mend the operation that it depends on, then retry the run."


class OverCap(Skipped):
    """More items than the cap allows."""

    slug, status, title = "over-cap", 409, "The run's cap leaves no room for it"
    next_step = "Raise the cap, or run it again for the rest."


class ItemClaimed(Skipped):
    """Another run is at work on the item."""

    slug, status, title = "item-claimed", 409, "Another run is at work on the item"
    next_step = "Wait for that run to end, and look at how it ended."


class NotAttempted(ItemProblem):
    """The run ended before the item's turn came."""


class Stopped(NotAttempted):
    """Somebody stopped the target, or everything."""

    slug, status, title = "stopped", 409, "Sending is stopped"
    next_step = "When it is resumed, retry the run."


class WindowEnded(NotAttempted):
    """The night was over before the item's turn came."""

    slug, status, title = "window-ended", 409, "The night's window has ended"
    next_step = "Retry the run, or let the next night find the item again."


class CauseStopped(NotAttempted):
    """Of those that were tried before it, too many failed again."""

    slug, status, title = "cause-stopped", 409, "What was tried before it failed again"
    next_step = "Mend what makes them fail, then retry the run, or let the next sweep find it; no attempt was used."


class BatchStopped(NotAttempted):
    """An operation before it in the batch was not done."""

    slug, status, title = "batch-stopped", 409, "The batch stopped before it"
    next_step = "Mend the operation at which the batch stopped, then retry the run."


class Cancelled(NotAttempted):
    """Somebody cancelled the run."""

    slug, status, title = "cancelled", 409, "The run was cancelled"
    next_step = "Retry the run, if it should go on after all."


class RunClosed(NotAttempted):
    """The run was ended from outside of its orchestrator, or could never be started."""

    slug, status, title = "run-closed", 409, "The run was ended before it came to it"
    next_step = "Call again, or retry what the run left: nothing was sent for it."


class Rejected(ItemProblem):
    """The system said no."""


class ItemNotFound(Rejected):
    """The system doesn't know the item."""

    slug, status, title = "item-not-found", 422, "The system does not know the item"
    next_step = "Look at the id, and at the target: the system may have cleaned up the item."


class NotSupported(Rejected):
    """The system is too old for what was asked, and would ignore it."""

    slug, status, title = "not-supported", 422, "The system's version does not have it"
    next_step = "Leave it out, or update the system; where its version can't be read, name it in the target's settings."


class RefusedBySystem(Rejected):
    """The system refused to do it."""

    slug, status, title = "refused-by-system", 422, "The system refused"
    next_step = "Read what the system said, mend that, and call again under a new key."


class Failed(ItemProblem):
    """It never took effect."""


class CredentialsRefused(Failed):
    """The token issuer refuses the target's credential."""

    slug, status, title = "credentials-refused", 424, "The token issuer refused the target's credential"
    next_step = "Mend the target's credential in the app's settings, then call again."


class IssuerUnavailable(Failed):
    """The token issuer can't be reached, or doesn't work."""

    slug, status, title = "issuer-unavailable", 424, "The token issuer is not available"
    next_step = "Call again when it is back; nothing was sent."


class AccessDenied(Failed):
    """The system doesn't let our token in, or not that far."""

    slug, status, title = "access-denied", 424, "The system does not let the app in, or not that far"
    next_step = (
        "In Dynamics 365, register the app's client id with a user who may do this; in Camunda, look at the target's "
        "credential and its user's rights. Then call again."
    )


class TargetLost(Failed):
    """The target's settings changed while the run was under way."""

    slug, status, title = "target-lost", 424, "The target was taken away or switched off"
    next_step = "Mend the target's settings, then call again."


class TargetUnreachable(Failed):
    """No connection to the system."""

    slug, status, title = "target-unreachable", 424, "The system cannot be reached"
    next_step = "Call again when it is back; nothing was sent."


class TooLate(TargetUnreachable):
    """There was no time left for the request, so it did not leave."""


class Throttled(Failed):
    """The system has too much to do."""

    slug, status, title = "throttled", 424, "The system is too busy"
    next_step = "Call again later; nothing took effect."


class NotTaken(Failed):
    """No answer is known, and the system shows that it did not happen."""

    slug, status, title = "not-taken", 424, "It did not take effect"
    next_step = "Retry the run: the system shows nothing of it."


class AnswerNotUnderstood(Failed):
    """An answer to a reading call that no such system would give."""

    slug, status, title = "answer-not-understood", 424, "The system's answer is not what it documents"
    next_step = "Look at the URL in the target's settings; nothing took effect."


class RolledBack(ItemProblem):
    """The system took it back, because another operation of the same batch failed."""

    slug, status, title = "rolled-back", 409, "It was rolled back"
    next_step = "Mend the operation that failed, then send the whole batch again under a new key."


class OutcomeUnknown(ItemProblem):
    """It may have been sent, and nothing shows what became of it."""

    slug, status, title = "outcome-unknown", 409, "It is not known whether this took effect"
    next_step = "Look at the item in the system. A new call, under a new key, looks at it again before it sends."


class NoAnswer(OutcomeUnknown):
    """A call was sent, and no answer came that can be understood."""


class TimedOut(NoAnswer):
    """The system gave up by itself, because it took too long."""


class RunBroken(ItemProblem):
    """The run broke by a defect of this app."""

    slug, status, title = "run-broken", 409, "The run broke by a defect of this app"
    next_step = "Look at the item in the system before you call again, and tell the people who run this app."


def _leaves(kind: type[Problem]) -> Iterator[type[Problem]]:
    if vars(kind).get("slug"):
        yield kind
    for child in kind.__subclasses__():
        yield from _leaves(child)


def catalogue() -> dict[str, type[Problem]]:
    """Return every type of problem by its slug, in the order of the tree."""
    return {kind.slug: kind for kind in _leaves(Problem)}


class StoreError(Exception):
    """What the store may say instead of doing what it was asked for."""


class Exists(StoreError):  # noqa: N818 - the protocol's word
    """A record with this key is there already: read it, and see who came first."""


class Changed(StoreError):  # noqa: N818 - as Exists
    """The record isn't what it was when it was read: read it again, and decide again."""
