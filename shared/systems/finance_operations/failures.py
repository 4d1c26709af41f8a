"""The failures that a sweep finds: batch jobs that ended in Error between two instants."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from urllib.parse import quote, urlencode

from shared.core.targets import Target
from shared.systems.finance_operations.jobs import ENUM, FIELDS, listed, literal
from shared.systems.finance_operations.requests import named
from shared.systems.requests import Selection
from shared.transport.connection import Connection


def failures(connection: Connection, since: datetime | None, until: datetime | None, run: str) -> Selection:
    """Return the jobs that ended in Error between two instants, the oldest first.

    Raises:
        Failed: they cannot be listed.
    """
    return Selection([named(job) for job in listed(connection, _list_path(since, until), run)])


def failures_page(
    connection: Connection, since: datetime | None, until: datetime | None, skip: int, top: int
) -> tuple[Selection, bool]:
    """Return one page of what `failures` returns, and whether there are more; the system may page by less.

    Raises:
        Failed: they cannot be listed.
    """
    path = f"{_list_path(since, until)}&$skip={skip}&$top={top + 1}"
    jobs = list(islice(listed(connection, path, "failures"), top + 1))
    return Selection([named(job) for job in jobs[:top]]), len(jobs) > top


def cause_and_group(about: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the cause of a failure, and the groups over which waves are spread: its job and company.

    Finance & Operations reports no cause, so all failures of a target have the same one.
    """
    return "", (about.get("job", ""), about.get("company", ""))


def link(target: Target, about: Mapping[str, str]) -> str:
    """Return the URL of the form Batch jobs, in the job's company.

    The query `mi` names a menu item, and `cmp` a company (Microsoft, shareable URLs). A filter for one job can be made
    by the system only, which encrypts it.
    """
    company = {"cmp": about["company"]} if about.get("company") else {}
    return f"{target.url}/?{urlencode({**company, 'mi': 'BatchJob'})}"


def _list_path(since: datetime | None, until: datetime | None) -> str:
    """Return the path of the list.

    Enumerations support `eq` only, and DateTimeOffset literals have no quotes (facts A2).
    """
    if since is None or until is None:
        raise ValueError("batch jobs are listed between two instants")
    query = f"Status eq {ENUM}'Error' and EndDateTime ge {literal(since)} and EndDateTime le {literal(until)}"
    return f"/data/BatchJobs?$filter={quote(query)}&$select={FIELDS}&$orderby=EndDateTime&cross-company=true"
