"""What the product's own host.json says to the engine, and how the local host reads it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from local.environment import ROOT
from local.host.errors import HostError
from local.host.host_json import DurableSettings, read_host_json
from shared.durable.engine import VERSION

OURS = read_host_json(ROOT).durable


def test_runs_start_with_the_version_that_the_engine_takes() -> None:
    assert OURS.default_version == VERSION
    assert (OURS.match_strategy, OURS.failure_strategy) == ("CurrentOrOlder", "Reject")


def test_calls_of_entities_arrive() -> None:
    assert OURS.reorder_window == timedelta()


def test_a_crashed_host_is_made_good_after_a_minute() -> None:
    assert OURS.control_visibility == OURS.work_item_visibility == timedelta(minutes=1)


def test_an_idle_queue_is_looked_at_each_second() -> None:
    assert OURS.polling == timedelta(seconds=1)


def test_what_is_left_out_is_as_on_azure(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}', "utf-8")
    found = read_host_json(tmp_path)
    assert found.route_prefix == "api"
    assert found.durable == DurableSettings()
    assert found.durable.default_version is None
    assert found.durable.reorder_window == timedelta(minutes=30)
    assert found.durable.control_visibility == timedelta(minutes=5)
    assert found.durable.polling == timedelta(seconds=30)


@pytest.mark.parametrize("text", ["a minute", "1:00", "00:01"])
def test_a_time_span_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    storage = {"storageProvider": {"maxQueuePollingInterval": text}}
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {"durableTask": storage}}), "utf-8")
    with pytest.raises(HostError, match="is no time span"):
        read_host_json(tmp_path)


def test_a_time_span_may_have_days(tmp_path: Path) -> None:
    storage = {"storageProvider": {"workItemQueueVisibilityTimeout": "1.02:00:00"}}
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {"durableTask": storage}}), "utf-8")
    assert read_host_json(tmp_path).durable.work_item_visibility == timedelta(days=1, hours=2)
