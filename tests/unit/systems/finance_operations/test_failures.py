"""The failed batch jobs of a sweep."""

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from shared.core.problems import AnswerNotUnderstood
from shared.systems.finance_operations.failures import failures, failures_page
from tests.unit.systems.finance_operations.replying import ENTITY, JOB, NOW, Replying, reply

ERROR = {"error": {"code": "", "message": "An error has occurred."}}


def test_jobs_are_listed_page_after_page() -> None:
    first = {"value": [ENTITY], "@odata.nextLink": "https://h/data/BatchJobs?$skiptoken=1"}
    last = {"value": [{**ENTITY, "BatchJobRecId": 2}]}
    replying = Replying(reply(200, first), reply(200, last))
    since, until = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, 7, 0, 1, tzinfo=UTC)
    jobs = failures(replying, since, until, "r1").items
    assert [job.id for job in jobs] == [str(JOB), "2"]
    path = unquote(replying.asked[0][1])
    assert "EndDateTime ge 2026-11-22T00:00:00Z and EndDateTime le 2026-11-23T07:00:01Z" in path
    assert "Status eq Microsoft.Dynamics.DataEntities.BatchStatus'Error'" in path
    assert replying.asked[1] == ("GET", "https://h/data/BatchJobs?$skiptoken=1")


@pytest.mark.parametrize("content", [b"", b"<html>", [], {"value": None}, {"value": [1]}, {"value": [{}]}, ERROR])
def test_what_is_no_list_of_jobs_is_not_understood(content: object) -> None:
    with pytest.raises(AnswerNotUnderstood):
        failures(Replying(reply(200, content)), NOW, NOW, "r1")


def test_a_page_requests_one_job_more_to_see_whether_there_are_more() -> None:
    replying = Replying(reply(200, {"value": [ENTITY, {**ENTITY, "BatchJobRecId": 2}]}))
    found, more = failures_page(replying, NOW, NOW, 3, 1)
    assert ([job.id for job in found.items], more) == ([str(JOB)], True)
    assert replying.asked[0][1].endswith("&$skip=3&$top=2")


def test_without_a_window_nothing_is_listed() -> None:
    with pytest.raises(ValueError, match="between two instants"):
        failures(Replying(reply(200)), None, NOW, "r1")
