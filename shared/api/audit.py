"""`audit`: who did what to which item, when and why; as JSON, or as CSV."""

import asyncio
import re
from typing import get_args

from pydantic import Field

from shared.api.paging import choice, instant, next_link, number, wrong_parameter
from shared.audit import trail
from shared.audit.entry import AuditEntry, Kind
from shared.audit.table import csv_of
from shared.audit.trail import Position, Question
from shared.core.model import Plain
from shared.core.response import Response
from shared.core.targets import is_name
from shared.storage.app import app_store, audit_store
from shared.validation.request import Call

AUDIT_PARAMETERS = ("actor", "after", "format", "from", "item", "kind", "limit", "run", "target", "until")
_PAGE = 100
_RUN = re.compile(r"[A-Za-z0-9-]{1,40}")


class AuditPage(Plain):
    """A page of the audit trail, the newest entry first."""

    value: list[AuditEntry]
    nextLink: str | None = Field(default=None, description="The next page.")  # noqa: N815 - as callers see it


async def get_audit(call: Call) -> Response:
    """Return entries of the audit trail, the newest first; those of a run in the order of its parts.

    Raises:
        NotValid: a parameter can't be read.
    """
    asked, limit, is_csv = _question(call), number(call, "limit", _PAGE, most=_PAGE), _wants_csv(call)
    try:
        position = Position.read(call.params.get("after", ""))
    except ValueError:
        raise wrong_parameter("after", "must be that of a nextLink") from None
    if position.key and not position.key.startswith(asked.base):
        raise wrong_parameter("after", "must be that of a nextLink of the same question")
    if asked.target:
        # An empty list would say that nothing happened there.
        call.caller.require(asked.target)
    store = audit_store(app_store())
    read, rest = await asyncio.to_thread(trail.answer, store, asked, limit, position)
    found = [one for one in read if call.caller.sees(one.target, one.system)]
    following = next_link(call, rest.text) if rest else None
    if is_csv:
        link = {"Link": f'<{following}>; rel="next"'} if following else {}
        saved = {"Content-Disposition": 'attachment; filename="audit.csv"'}
        return Response(200, csv_of(found), "text/csv", {**saved, **link})
    return Response.of(200, AuditPage(value=found, nextLink=following))


def _question(call: Call) -> Question:
    """Return what is asked; a filter that needs another one says so."""
    target, item, run = (call.params.get(name) for name in ("target", "item", "run"))
    target = target.lower() if target is not None else None
    if item is not None and target is None:
        raise wrong_parameter("item", "needs the parameter target: an id is that of a target")
    # A target that is no longer in the settings has entries, too.
    if target is not None and not is_name(target):
        raise wrong_parameter("target", "must be the name of a target")
    for name in ("item", "actor"):
        if call.params.get(name) == "":
            raise wrong_parameter(name, "must not be empty")
    if run is not None and not _RUN.fullmatch(run):
        raise wrong_parameter("run", "must be the id of a run")
    kind = choice(call, "kind", get_args(Kind))
    since, until = instant(call, "from"), instant(call, "until")
    if since and until and since > until:
        raise wrong_parameter("until", "must not be before the parameter from")
    return Question(
        target=target,
        item=item,
        actor=call.params.get("actor"),
        run=run,
        kind=next((one for one in get_args(Kind) if one == kind), None),
        since=since,
        until=until,
        intents=item is not None,
    )


def _wants_csv(call: Call) -> bool:
    named = choice(call, "format", ("csv", "json"))
    return named == "csv" or (named is None and "text/csv" in call.headers.get("accept", "").lower())
