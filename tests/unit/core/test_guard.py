"""A step that fails is logged, and what comes after it is done."""

import logging

import pytest

from shared.core import guard
from shared.core.problems import NotReady


def test_what_fails_in_a_step_is_logged_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "nightshift"), guard.going_on("sort", target="fo"):
        raise KeyError("x")
    assert [one.getMessage() for one in caplog.records] == ["step-failed step=sort target=fo"]
    assert caplog.records[0].exc_info


def test_who_calls_tries_again_while_the_store_is_away() -> None:
    with pytest.raises(NotReady), guard.going_on("sort"):
        raise NotReady("away")
