"""Clients of OData from npm, as they are published: only their base URL is that of Nightshift.

What they get from the simulated Business Central itself is compared, where that speaks their form: it knows JSON only.
`make check` installs them.
"""

import itertools
from collections import Counter
from typing import Any

import pytest

from local import clients
from local.stack import Machine
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.slow
_codes = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if not clients.is_installed():
        pytest.skip("the clients of OData are not installed: `make check` installs them with npm")


@pytest.fixture
def batcher(machine: Machine) -> Batcher:
    return Batcher(machine)


def play(batcher: Batcher, script: str, *, direct: bool = False, **told: object) -> dict[str, dict[str, Any]]:
    """Return what a client finds in each scene: at Nightshift and, if it is asked for, at the system itself."""
    host, central = batcher.machine.host, batcher.central
    token = batcher.machine.landscape.issuer.token(central.url)
    places = {
        "nightshift": _place(batcher, f"{host.url}/api/business-central/api", {"x-functions-key": host.function_key}),
        "central": _place(batcher, f"{central.url}/api", {"authorization": f"Bearer {token}"}),
    }
    some = places if direct else {"nightshift": places["nightshift"]}
    found: dict[str, dict[str, Any]] = clients.run(script, {"company": batcher.company, "places": some, **told})
    for name, place in some.items():
        found[name]["documents"] = [str(one["documentNumber"]) for one in central.lines(place["journal"])]
    return found


def _place(batcher: Batcher, base: str, headers: dict[str, str]) -> dict[str, Any]:
    journal = batcher.central.add_journal(batcher.company)
    return {"base": base, "headers": headers, "journal": journal, "code": f"NEW{next(_codes)}"}


def numbered(count: int, begin: int = 1) -> list[str]:
    return [str(number) for number in range(begin, begin + count)]


def test_e6_microsoft_graph_client(batcher: Batcher) -> None:
    """E6: its batch contents, with the URLs that it writes, which begin with a slash."""
    found = play(batcher, "graph.cjs", direct=True)
    ours, direct = found["nightshift"], found["central"]
    assert ours["works"] == direct["works"] == [["r", 200, None], ["1", 201, "1"], ["2", 201, "2"]]
    assert direct["fails"] == [["3", 201, "3"], ["bad", 400, None]]
    assert ours["fails"] == [*direct["fails"], ["4", 424, None]]
    assert direct["depends"] == [["5", 201, "5"], ["6", 201, "6"], ["bad", 400, None]]
    assert ours["depends"] == [*direct["depends"], ["7", 424, None]]
    assert ours["documents"] == direct["documents"] == ["1", "2", "3", "5", "6"]
    assert "20" in ours["most"]["error"]


def test_e6_odata_client_in_json(batcher: Batcher) -> None:
    """E6: groups and more than 100 operations work here, and not at the system itself."""
    found = play(batcher, "odata_client.cjs", direct=True, form="json")
    ours, direct = found["nightshift"], found["central"]
    assert ours["works"] == direct["works"] == [["r", 200, None], ["1", 201, "1"], ["2", 201, "2"]]
    assert direct["fails"] == [["3", 201, "3"], ["bad", 400, None]]
    assert ours["fails"] == [*direct["fails"], ["4", 424, None]]
    assert ours["depends"] == direct["depends"] == [["j", 201, None], ["5", 201, "5"]]
    assert ours["group"] == [["a", 424, None], ["b", 400, None]]
    assert ours["most"] == [[one, 201, f"n{one}"] for one in numbered(150)]
    assert set(direct["group"]) == set(direct["most"]) == {"error"}
    assert ours["documents"] == ["1", "2", "3", *(f"n{one}" for one in numbered(150))]


def test_e6_odata_client_in_multipart(batcher: Batcher) -> None:
    """E6: a change set for each operation that writes, without Content-IDs."""
    ours = play(batcher, "odata_client.cjs", form="multipart")["nightshift"]
    assert ours["works"] == [[None, 200, None], [None, 201, "1"], [None, 201, "2"]]
    assert ours["fails"] == [[None, 201, "3"], [None, 400, None], [None, 424, None]]
    assert ours["most"] == [[None, 201, f"n{one}"] for one in numbered(150)]
    assert ours["documents"] == ["1", "2", "3", *(f"n{one}" for one in numbered(150))]


def test_e6_o_js(batcher: Batcher) -> None:
    """E6: parts with absolute URLs and Content-IDs."""
    ours = play(batcher, "o.cjs", changeSets=False)["nightshift"]
    assert ours["works"] == [["1", 201, "1"], ["2", 201, "2"], ["3", 200, None]]
    assert ours["fails"] == [["1", 201, "3"], ["2", 400, None], ["3", 424, None]]
    assert ours["refers"] == [["1", 201, None], ["2", 201, "5"]]
    assert Counter(status for _, status, _ in ours["most"]) == {201: 150}
    assert ours["documents"] == ["1", "2", "3", *(f"n{one}" for one in numbered(150))]


def test_e6_o_js_with_a_change_set(batcher: Batcher) -> None:
    """E6: what is written goes first, as one change set; the reads have the same Content-IDs again."""
    ours = play(batcher, "o.cjs", changeSets=True)["nightshift"]
    assert ours["fails"] == [["2", 400, None]]
    # It returns what it finds in the change set only.
    assert ours["works"] == [["1", 201, "1"], ["2", 201, "2"]]
    assert ours["refers"] == [["1", 201, None], ["2", 201, "5"]]
    assert Counter(status for _, status, _ in ours["most"]) == {201: 90}
    assert ours["documents"] == ["1", "2", *(f"n{one}" for one in numbered(90))]
