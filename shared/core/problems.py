"""Everything that can go wrong, and what the caller should do next.

A `Problem` is an exception and an HTTP response in one (RFC 9457, `application/problem+json`). Code raises it;
`validation/serving.py` returns it. `docs/problems.md` is generated from these classes.

    Problem
    |-- Refused                  nothing was started: change the request
    |   |-- BodyMissing          400  send the JSON that the function takes
    |   |-- NotJson              400  fix the JSON
    |   |-- NotMultipart         400  fix the boundaries
    |   |-- KeyNotValid          400  send a shorter or plainer Idempotency-Key
    |   |-- HeaderNotValid       400  send a header that can be read
    |   |-- RoleMissing          403  get the role that detail names
    |   |-- UnknownTarget        404  name a target from the settings
    |   |-- UnknownRun           404  check the run's id and ticket
    |   |-- UnknownNeed          404  list what needs a person now
    |   |-- UnknownNight         404  name a night that nights lists, or the coming one
    |   |-- UnknownItem          404  check the item's id
    |   |-- NotAPlan             409  apply a plan: a run that a dry run or a sweep returned
    |   |-- IsAPlan              409  apply it; a plan is not retried
    |   |-- RunOpen              409  wait until the run ends, or cancel it
    |   |-- HandedOn             409  retry what those runs left
    |   |-- SettledOtherwise     409  read how it was settled; it stays so
    |   |-- MayStillHappen       409  wait, then check the item or settle it again
    |   |-- RunEnded             409  nothing: there is nothing to cancel
    |   |-- Expired              410  read the run's report; nothing is sent again
    |   |-- PlanExpired          410  make a new plan
    |   |-- OperationsGone       410  send the original request again
    |   |-- LengthRequired       411  send Content-Length
    |   |-- PolicyChanged        412  read the policy again
    |   |-- TooLarge             413  send less
    |   |-- WrongMediaType       415  send application/json
    |   |-- NotValid             422  fix each of the errors
    |   |-- UnknownEvent         422  send the system's event unchanged
    |   |-- KeyReused            422  use a new Idempotency-Key for a new request
    |   |-- PlanApplied          422  make a new plan for another selection
    |   |-- TargetOff            424  fix the target's settings
    |   `-- VersionRequired      428  send If-Match with the policy's ETag
    |-- NotReady                 503  repeat later; the only problem whose request may be repeated unchanged
    `-- ItemProblem              a run ended, and its one item is not done
        |-- Skipped              409  the policy or the item's state forbids it; nothing was sent
        |   |-- ItemRunning           wait until the item ends
        |   |-- ItemWaiting           nothing: it is about to run
        |   |-- ItemNotFailed         allow its state by the option, or leave it
        |   |-- NotStoppable          let it end
        |   |-- AlreadySent           read the report of the run that sent it; for another one, make a new call
        |   |-- ItemOfBatch           check its batch, or name the job by its id
        |   |-- ItemChanged           make a new plan
        |   |-- ItemClaimed           wait for the other run
        |   |-- PolicyDenied          change the policy, or override it with a reason
        |   |-- AttemptsUsedUp        find out why it fails every time
        |   |-- TooSoon               wait as long as the policy requires
        |   |-- LeftToSweep           nothing: the next sweep checks it
        |   |-- DependencyFailed      fix the operation that it depends on
        |   `-- OverCap               raise the cap, or start another run for the rest
        |-- NotAttempted         409  the run ended before it reached the item
        |   |-- Stopped               resume, then retry the run
        |   |-- WindowEnded           retry the run, or leave it to the next night
        |   |-- CauseStopped          fix the cause, then retry the run
        |   |-- BatchStopped          fix the operation that failed before it, then retry the run
        |   |-- Cancelled             retry the run, if it should continue
        |   `-- RunClosed             call again, or retry the run
        |-- Rejected             422  the system refused
        |   |-- ItemNotFound          check the id
        |   |-- NotSupported          leave out the unsupported option
        |   `-- RefusedBySystem       read the system's message
        |-- Failed               424  it did not take effect: fix the cause, then call again
        |   |-- CredentialsRefused    fix the target's credential
        |   |-- IssuerUnavailable     call again when the token issuer is available
        |   |-- AccessDenied          give the app's user the permission in the system
        |   |-- TargetUnreachable     call again when the system is reachable
        |   |   |-- TooLate           (no time was left to send it; its run tries again)
        |   |   `-- TargetBusy        (the target has its share of threads; its run tries again)
        |   |-- TargetLost            fix the target's settings
        |   |-- Throttled             call again later
        |   |-- NotTaken              retry the run
        |   `-- AnswerNotUnderstood   check the target's URL
        |-- RolledBack           409  fix the operation that failed in the same batch, then send all of it again
        |-- OutcomeUnknown       409  check the item in the system first
        |   `-- NoAnswer              (raised by the transport; becomes OutcomeUnknown if the system shows no more)
        |       `-- TimedOut          (the system itself gave up: a smaller request may succeed)
        `-- RunBroken            409  check the item, then report the defect to the app's operators

    StoreError                   raised by the store
    |-- Exists                   a record with this key exists
    `-- Changed                  the record has changed since it was read
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from shared.core.response import Response, to_json

if TYPE_CHECKING:
    from shared.core.problem_body import MistakeBody, ProblemBody

MOST_MISTAKES = 100
PREFIX = "urn:nightshift:problem:"


@dataclass(frozen=True)
class Mistake:
    """One mistake in a request, and its location.

    `pointer` is a JSON Pointer (RFC 6901) into the body; otherwise `header` or `parameter` (of the query) is set.
    """

    detail: str
    pointer: str | None = None
    header: str | None = None
    parameter: str | None = None

    def body(self) -> "MistakeBody":
        """Return the mistake as an element of `errors` (RFC 9457, section 3)."""
        from shared.core.problem_body import MistakeBody  # noqa: PLC0415 - a cold start builds no models

        return MistakeBody(detail=self.detail, pointer=self.pointer, header=self.header, parameter=self.parameter)


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """An error as an exception and as an HTTP response.

    `members` says more about it: extension members of the body (RFC 9457, 3.2), and what only this app needs to know,
    such as `sent`. `headers` are added to the response.
    """

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

    def body(self) -> "ProblemBody":
        """Return the problem's members (RFC 9457, section 3); `next` is the next step for the caller."""
        from shared.core.problem_body import ProblemBody  # noqa: PLC0415 - as in Mistake

        return ProblemBody(
            type=PREFIX + self.slug,
            title=self.title,
            status=self.status,
            detail=self.detail,
            next=self.next_step,
            run=self.run,
            errors=[mistake.body() for mistake in self.mistakes],
            **self.members,
        )

    def answer(self) -> Response:
        """Return the problem as an HTTP response."""
        named = {"Nightshift-Run": self.run} if self.run else {}
        return Response(self.status, to_json(self.body()), "application/problem+json", {**named, **self.headers})


class Refused(Problem):
    """The request was refused before anything was started."""


class BodyMissing(Refused):
    """The request has no body, but the function needs one."""

    slug, status, title = "body-missing", 400, "The request has no body"
    next_step = "Send the JSON object that this function takes."


class NotJson(Refused):
    """The body is not strict JSON."""

    slug, status, title = "not-json", 400, "The body cannot be read as JSON"
    next_step = "Send one JSON value in UTF-8 (RFC 8259), with unique member names and finite numbers."


class NotMultipart(Refused):
    """The body is not a multipart message."""

    slug, status, title = "not-multipart", 400, "The body cannot be read as multipart/mixed"
    next_step = "Send parts between lines with the boundary of the Content-Type, and -- after the last one (RFC 2046)."


class KeyNotValid(Refused):
    """The Idempotency-Key cannot be used."""

    slug, status, title = "idempotency-key-not-valid", 400, "The Idempotency-Key cannot be used"
    next_step = "Send 1 to 255 visible ASCII characters, such as a UUID, with or without double quotes."


class HeaderNotValid(Refused):
    """A header of the request cannot be used."""

    slug, status, title = "header-not-valid", 400, "A header cannot be used"
    next_step = "Send the header as its specification defines it, in visible ASCII."


class RoleMissing(Refused):
    """The signed-in caller lacks the role that the call needs."""

    slug, status, title = "role-missing", 403, "The caller lacks the role"
    next_step = (
        "Sign in as a caller that has one of these roles. The app's administrator assigns them; then get a new token. "
        "Nothing was started."
    )


class UnknownTarget(Refused):
    """The settings have no such target."""

    slug, status, title = "unknown-target", 404, "The target does not exist"
    next_step = "Use the name of a target from the app settings (TARGETS__{NAME}__...)."


class UnknownRun(Refused):
    """There is no such run, or the ticket does not match."""

    slug, status, title = "unknown-run", 404, "The run does not exist"
    next_step = "Use the Location as it was returned, or the id in the header Nightshift-Run."


class UnknownNeed(Refused):
    """Nothing with this id needs a person."""

    slug, status, title = "unknown-need", 404, "Nothing with this id needs a person"
    next_step = "It may be settled: GET needs-person lists what needs a person now, with the ids."


class UnknownNight(Refused):
    """Nothing is known of the night: it is in the future, or before the first run that is kept."""

    slug, status, title = "unknown-night", 404, "Nothing is known of the night"
    next_step = "Name the date on which a night began: one that GET nights lists, or that of the coming night."


class UnknownItem(Refused):
    """No run has touched the item."""

    slug, status, title = "unknown-item", 404, "Nothing is known of the item"
    next_step = "Check the item's id, as the reports show it. An operation of a batch is shown by its run only."


class Expired(Refused):
    """The run's response is past its retention."""

    slug, status, title = "expired", 410, "The result has expired"
    next_step = "Read the run's report. Nothing is sent again under this key; use a new key for a new attempt."


class NotAPlan(Refused):
    """The run is not a plan, or the plan has not ended."""

    slug, status, title = "not-a-plan", 409, "The run is not a plan"
    next_step = "Apply the run that a dry run or a sweep returned, once it has ended."


class IsAPlan(Refused):
    """The run is a plan, but the function needs a run that made changes."""

    slug, status, title = "is-a-plan", 409, "The run is a plan and has changed nothing"
    next_step = "Apply it before it expires, or make a new plan."


class RunOpen(Refused):
    """The run has not ended."""

    slug, status, title = "run-open", 409, "The run has not ended"
    next_step = "Wait until it ends, or cancel it."


class HandedOn(Refused):
    """Other runs took items of the run, to send them again."""

    slug, status, title = "handed-on", 409, "Other runs already retry some of these items"
    next_step = "Retry what those runs left; for the other items of this run, list their ids in only."


class SettledOtherwise(Refused):
    """An unknown item was settled the other way, or a check has shown how it ended."""

    slug, status, title = "settled-otherwise", 409, "The item was settled the other way"
    next_step = "Nothing: what somebody settled, or a check has shown, stays; GET items/{target}/{id} has who said so."


class MayStillHappen(Refused):
    """It is said that a call did not happen, and it may still take effect."""

    slug, status, title = "may-still-happen", 409, "The call may still take effect"
    next_step = "Wait until the given time, then call check, or settle it."


class RunEnded(Refused):
    """The run has ended."""

    slug, status, title = "run-ended", 409, "The run has ended"
    next_step = "There is nothing to cancel; read the report."


class PlanExpired(Refused):
    """The plan is too old."""

    slug, status, title = "plan-expired", 410, "The plan has expired"
    next_step = "Make a new plan; this one does not include later failures."


class OperationsGone(Refused):
    """The items and operations of the run were removed; its report is still there."""

    slug, status, title = "operations-gone", 410, "The operations of the run are no longer stored"
    next_step = "Read the run's report, and send the original request again for what is still to be done."


class PolicyChanged(Refused):
    """The policy is not at the version that the caller has read."""

    slug, status, title = "policy-changed", 412, "The policy has changed"
    next_step = "Read the policy again, and make the change to the new version."


class PlanApplied(Refused):
    """The plan was applied with another selection."""

    slug, status, title = "plan-applied", 422, "The plan was applied with another selection"
    next_step = "Read the run that applied it; make a new plan for another selection."


class VersionRequired(Refused):
    """A change to the policy does not name a version."""

    slug, status, title = "version-required", 428, "The request must name the version that it changes"
    next_step = "Send If-Match with the ETag of GET policy."


class LengthRequired(Refused):
    """The body is chunked; the Functions host drops it."""

    slug, status, title = "length-required", 411, "The request needs a Content-Length"
    next_step = (
        "Send the body with Content-Length, not with Transfer-Encoding: chunked; the Functions host drops such bodies."
    )


class TooLarge(Refused):
    """The body is larger than MAX_BODY."""

    slug, status, title = "too-large", 413, "The body is too large"
    next_step = "Send a smaller body, or raise the setting MAX_BODY."


class WrongMediaType(Refused):
    """The Content-Type is not JSON, or the body is encoded."""

    slug, status, title = "wrong-media-type", 415, "The body is not declared as plain JSON"
    next_step = "Send Content-Type: application/json, and no Content-Encoding."


class NotValid(Refused):
    """The body, a header or a parameter has mistakes."""

    slug, status, title = "not-valid", 422, "The request is not valid"
    next_step = "Fix each of the errors; nothing was sent."

    @classmethod
    def of(cls, *mistakes: Mistake, run: str | None = None) -> "NotValid":
        """Build the problem for some mistakes about a run; all are counted, the first 100 are listed."""
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        return cls(f"The request has {count}.", mistakes=mistakes[:MOST_MISTAKES], run=run)


class UnknownEvent(Refused):
    """The event has an unknown shape or names no job; `names` lists the member names that were received."""

    slug, status, title = "event-not-known", 422, "The event is not known"
    next_step = "Send the event unchanged: directly, by Event Grid or by a Dataverse webhook. See names."


class KeyReused(Refused):
    """Another request has used the Idempotency-Key."""

    slug, status, title = "idempotency-key-reused", 422, "The Idempotency-Key belongs to another request"
    next_step = "Use a new key for a new request; repeat a request with the same bytes and the same target."


class TargetOff(Refused):
    """The target's settings are wrong."""

    slug, status, title = "target-off", 424, "The target is off because its settings are wrong"
    next_step = "Fix the listed app settings; the app then restarts."


class NotReady(Problem):
    """The app cannot work at the moment."""

    slug, status, title = "not-ready", 503, "The app is not ready"
    next_step = "Repeat the same request later."


class ItemProblem(Problem):
    """A run ended, and its one item is not done."""


class Skipped(ItemProblem):
    """The policy or the item's state forbids it; nothing was sent."""


class ItemRunning(Skipped):
    """The item is running."""

    slug, status, title = "item-running", 409, "The item is running"
    next_step = "Wait until it ends; a running item is never started again."


class ItemWaiting(Skipped):
    """The item is already waiting to start."""

    slug, status, title = "item-waiting", 409, "The item is already waiting to run"
    next_step = "Do nothing: the system is about to run it."


class ItemNotFailed(Skipped):
    """The item is in a state that the caller did not allow."""

    slug, status, title = "item-not-failed", 409, "The item is not in an allowed state"
    next_step = "Leave it, or change its state in the system. If the function takes fromStatuses, list its state there."


class NotStoppable(Skipped):
    """The item should not, or can't, be stopped."""

    slug, status, title = "not-stoppable", 409, "The item can't be stopped"
    next_step = "Let it end. `detail` says whether an option stops it all the same."


class AlreadySent(Skipped):
    """A run has sent the call, or may have, and the system could not tell whether a second one repeats it."""

    slug, status, title = "already-sent", 409, "It was sent already, and is not repeated"
    next_step = "Read the report of the run that `detail` names. To do it again on purpose, make a new call."


class ItemOfBatch(Skipped):
    """The item is a batch's own job, which sweeps and queries leave alone."""

    slug, status, title = "item-of-batch", 409, "The job belongs to a batch, not to a process"
    next_step = "Check the batch: its items may be gone. To retry the job all the same, name it by its id."


class ItemChanged(Skipped):
    """The item shows another failure than the planned one."""

    slug, status, title = "item-changed", 409, "The item has changed since it was planned"
    next_step = "Make a new plan, and review it."


class PolicyDenied(Skipped):
    """The policy does not allow it."""

    slug, status, title = "policy-denied", 409, "The policy does not allow it"
    next_step = (
        "Add the rule in wouldAllow, or change the one that denies it. If none denies it, and the function takes it, "
        "send override with a reason."
    )


class AttemptsUsedUp(Skipped):
    """It failed too often in a row."""

    slug, status, title = "attempts-used-up", 409, "The attempts for this item are used up"
    next_step = "Find out why it fails every time. To try it again, start it by hand, or send override with a reason."


class TooSoon(Skipped):
    """The policy requires a longer wait between two attempts."""

    slug, status, title = "too-soon", 409, "The policy requires a longer wait between two attempts"
    next_step = "Wait until the given time."


class LeftToSweep(Skipped):
    """The attempts that events may make are used up."""

    slug, status, title = "left-to-sweep", 409, "The attempts that events may make are used up"
    next_step = "Do nothing: the next sweep checks it."


class DependencyFailed(Skipped):
    """An operation that it depends on is not done."""

    slug, status, title = "dependency-failed", 409, "An operation that it depends on is not done"
    next_step = "Fix the operation that it depends on, then retry the run."


class OverCap(Skipped):
    """The run has more items than its cap allows."""

    slug, status, title = "over-cap", 409, "The item is over the run's cap"
    next_step = "Raise the cap, or start another run for the rest."


class ItemClaimed(Skipped):
    """Another run is working on the item."""

    slug, status, title = "item-claimed", 409, "Another run is working on the item"
    next_step = "Wait until that run ends and its call can no longer take effect; then read its report."


class NotAttempted(ItemProblem):
    """The run ended before it reached the item."""


class Stopped(NotAttempted):
    """Sending to the target, or to all targets, is stopped."""

    slug, status, title = "stopped", 409, "Sending is stopped"
    next_step = "Retry the run after sending has been resumed."


class WindowEnded(NotAttempted):
    """The night ended before the run reached the item."""

    slug, status, title = "window-ended", 409, "The night's window has ended"
    next_step = "Retry the run, or leave the item to the next night."


class CauseStopped(NotAttempted):
    """Too many items of the same cause failed again."""

    slug, status, title = "cause-stopped", 409, "Earlier items of the same cause failed again"
    next_step = "Fix the cause, then retry the run, or leave the item to the next sweep; no attempt was used."


class BatchStopped(NotAttempted):
    """An earlier operation of the batch is not done."""

    slug, status, title = "batch-stopped", 409, "The batch stopped before this operation"
    next_step = "Fix the operation at which the batch stopped, then retry the run."


class Cancelled(NotAttempted):
    """The run was cancelled."""

    slug, status, title = "cancelled", 409, "The run was cancelled"
    next_step = "Retry the run if it should continue."


class RunClosed(NotAttempted):
    """The run was ended outside of its orchestrator, or could not be started."""

    slug, status, title = "run-closed", 409, "The run ended before it reached the item"
    next_step = "Call again, or retry the run: nothing was sent for this item."


class Rejected(ItemProblem):
    """The system refused."""


class ItemNotFound(Rejected):
    """The system does not know the item."""

    slug, status, title = "item-not-found", 422, "The system does not know the item"
    next_step = "Check the id and the target: the system may have deleted the item."


class NotSupported(Rejected):
    """The system is too old for the requested option, and would ignore it."""

    slug, status, title = "not-supported", 422, "The system's version does not support this"
    next_step = "Leave it out, or update the system. If its version can't be read, set it in the target's settings."


class RefusedBySystem(Rejected):
    """The system refused the call."""

    slug, status, title = "refused-by-system", 422, "The system refused"
    next_step = "Read the system's message, fix the cause, and call again under a new key."


class Failed(ItemProblem):
    """It did not take effect."""


class CredentialsRefused(Failed):
    """The token issuer refused the target's credential."""

    slug, status, title = "credentials-refused", 424, "The token issuer refused the target's credential"
    next_step = "Fix the target's credential in the app settings, then call again."


class IssuerUnavailable(Failed):
    """The token issuer cannot be reached, or does not work."""

    slug, status, title = "issuer-unavailable", 424, "The token issuer is not available"
    next_step = "Call again when the issuer is available; nothing was sent."


class AccessDenied(Failed):
    """The system refused the app's token, or the user lacks a permission."""

    slug, status, title = "access-denied", 424, "The system denied access"
    next_step = (
        "Check the target's credential, and the rights of its user in the system: in Dynamics 365, the app's client id "
        "must be registered for a user with the permission. Then call again."
    )


class TargetLost(Failed):
    """The target's settings changed while the run was in progress."""

    slug, status, title = "target-lost", 424, "The target was removed or switched off"
    next_step = "Fix the target's settings, then call again."


class TargetUnreachable(Failed):
    """The system cannot be reached."""

    slug, status, title = "target-unreachable", 424, "The system cannot be reached"
    next_step = "Call again when the system is reachable; nothing was sent."


class TooLate(TargetUnreachable):
    """No time was left for the request, so it was not sent."""


class TargetBusy(TargetUnreachable):
    """Too many calls to the target are in progress in this process, so it was not sent."""


class Throttled(Failed):
    """The system is too busy."""

    slug, status, title = "throttled", 424, "The system is too busy"
    next_step = "Call again later; nothing took effect."


class NotTaken(Failed):
    """No response is known, and the system shows that the call had no effect."""

    slug, status, title = "not-taken", 424, "It did not take effect"
    next_step = "Retry the run: the system shows no effect of the call."


class AnswerNotUnderstood(Failed):
    """The response to a read is not one that the system documents."""

    slug, status, title = "answer-not-understood", 424, "The system's response is not as documented"
    next_step = "Check the URL in the target's settings; nothing took effect."


class RolledBack(ItemProblem):
    """The system rolled it back, because another operation of the same batch failed."""

    slug, status, title = "rolled-back", 409, "It was rolled back"
    next_step = "Fix the operation that failed, then send the whole batch again under a new key."


class OutcomeUnknown(ItemProblem):
    """It may have been sent, and nothing shows whether it took effect."""

    slug, status, title = "outcome-unknown", 409, "It is not known whether this took effect"
    next_step = "Check the item in the system. A new call, under a new key, reads the item before it sends."


class NoAnswer(OutcomeUnknown):
    """A call was sent, and no response that can be understood was received."""


class TimedOut(NoAnswer):
    """The system itself gave up, because the call took too long."""


class RunBroken(ItemProblem):
    """The run broke by a defect of this app."""

    slug, status, title = "run-broken", 409, "A defect of this app broke the run"
    next_step = "Check the item in the system before you call again, and report the defect to the app's operators."


def _leaves(kind: type[Problem]) -> Iterator[type[Problem]]:
    if vars(kind).get("slug"):
        yield kind
    for child in kind.__subclasses__():
        yield from _leaves(child)


def catalogue() -> dict[str, type[Problem]]:
    """Return all problem types by slug, in the order of the tree."""
    return {kind.slug: kind for kind in _leaves(Problem)}


class StoreError(Exception):
    """The store did not write, because the record is not in the expected state."""


class Exists(StoreError):  # noqa: N818 - the protocol's word
    """A record with this key exists: another writer was first."""


class Changed(StoreError):  # noqa: N818 - as Exists
    """The record has changed since it was read: read it again, and decide again."""
