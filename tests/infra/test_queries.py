"""The queries of alerts and the workbook: each reads events and fields that the code logs, and is valid KQL."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from local import clients, infra
from local.environment import ROOT
from shared.core import log
from shared.core.outcome import Ending, Recovery

QUERIES = sorted((infra.INFRA / "queries").glob("*.kql"))
COUNTS = {str(one) for one in (*Ending, *Recovery)}
CALLS = ("log.info", "log.warning", "log.error")
EVENTS = set(get_args(log.Event))
ALERTS = (infra.INFRA / "app" / "alerts.bicep").read_text("utf-8")
WORKBOOK = (infra.INFRA / "app" / "workbook.bicep").read_text("utf-8")


@cache
def logged() -> dict[str, set[str]]:
    """Return the fields of each event, from the calls in the code; `**counts` stands for the names of outcomes."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "shared").rglob("*.py")):
        for call in _calls(ast.parse(file.read_text("utf-8"))):
            event = ast.literal_eval(call.args[0])
            for keyword in call.keywords:
                found[event] |= {keyword.arg} if keyword.arg else COUNTS
    return found


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS:
            yield node


def asked(query: str) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the events of each step of a query, and the fields that it takes from them."""
    for filters, fields in re.findall(r"\| where (message startswith .*)\n\| parse-kv message as \(([^)]*)\)", query):
        events = re.findall(r'startswith "([\w-]+) "', filters)
        yield set(events), {field.partition(":")[0].strip() for field in fields.split(",")}


def test_each_event_is_logged_and_no_other() -> None:
    assert set(logged()) == EVENTS


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_reads_what_the_code_logs(path: Path) -> None:
    text, fields = path.read_text("utf-8"), logged()
    named = set(re.findall(r'startswith "([\w-]+) "', text))
    assert named or "exceptions" in text
    assert named <= EVENTS
    for events, wanted in asked(text):
        assert wanted <= set().union(*(fields[event] for event in events)), path.name


def test_reasons_and_kinds_in_queries_are_the_codes_own() -> None:
    from shared.core.problems import catalogue  # noqa: PLC0415 - only this test needs it
    from shared.runs.needs.need import Kind  # noqa: PLC0415 - as above

    reasons = {
        one
        for path in QUERIES
        for found in re.findall(r"reason (?:in|==) ?\(?([^)\n]*)", path.read_text("utf-8"))
        for one in re.findall(r'"([\w-]+)"', found)
    }
    kinds = {
        one
        for path in QUERIES
        for found in re.findall(r"need (?:!in|==) ?\(?([^)\n]*)", path.read_text("utf-8"))
        for one in re.findall(r'"([\w-]+)"', found)
    }
    assert reasons
    assert reasons <= set(catalogue())
    assert kinds
    assert kinds <= set(get_args(Kind))


def test_each_query_is_used_by_an_alert_or_the_workbook() -> None:
    used = set(re.findall(r"queries/([\w-]+\.kql)", ALERTS + WORKBOOK))
    assert used == {path.name for path in QUERIES}


def test_a_value_is_quoted_unless_it_is_plain(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nightshift")
    log.info("item-ended", run="20261129-1", item='a "b" = c\n', outcome=Ending.DONE, target=None)
    assert caplog.messages == [r'item-ended run=20261129-1 item="a \"b\" = c\n" outcome=done']


@pytest.mark.slow
def test_the_queries_are_valid_for_kusto_and_have_the_columns_of_their_alerts() -> None:
    if not clients.is_installed():
        pytest.skip("Kusto's language service is not installed: `make check` installs it with npm")
    queries = {path.name: path.read_text("utf-8").replace("{targets}", '["fo"]') for path in QUERIES}
    found = clients.run("kql.cjs", {"queries": {**queries, "wrong": "traces | project nothing"}})
    assert found.pop("wrong")["messages"] != []
    assert {name: one["messages"] for name, one in found.items()} == {name: [] for name in queries}
    alerts = re.findall(r"queries/([\w-]+\.kql)'\)[\s\S]*?columns: \[([^\]]*)\]", ALERTS)
    assert len(alerts) == 8
    for name, columns in alerts:
        assert set(re.findall(r"'(\w+)'", columns)) <= set(found[name]["columns"]), name
