"""Batches of objects for OpenDataDSL: its own call, any size, and what became of each element."""

from collections.abc import Callable

from local.demo.stage import Scene, Stage
from local.simulators.opendatadsl.server import OpenDataDsl

_BATCHES = "/api/opendatadsl/batch/v1"
_DOCUMENTED = {
    "_id": "00006d91-0fa0-481a-8118-7d6c1f4dba8f",
    "_type": "VarBatch",
    "elements": [{"_id": "AAA", "example": "property"}],
}
_PRICES = 2_500


def _is_as_documented(stage: Stage) -> Scene:
    scene = Scene("OpenDataDSL's own example, and two mistakes that it would take")
    service = _fresh(stage)
    stage.post(scene, _BATCHES, _DOCUMENTED)
    scene.promises["200, and the service's own summary, with the id of the call"] = (
        scene.status == 200 and scene.answer["_id"] == _DOCUMENTED["_id"] and scene.answer["status"] == "success"
    )
    doubled = {"_type": "VarBatch", "elements": [{"_id": "BBB", "price": 1}, {"_id": "BBB", "price": 2}, {"price": 3}]}
    told = stage.post(Scene(""), _BATCHES, doubled).json()
    scene.promises["422 with a pointer to the element that comes twice, and to the one without an id"] = [
        one["pointer"] for one in told["errors"]
    ] == ["/elements/1/_id", "/elements/2/_id"]
    scene.promises["the service took one element, once"] = service.book.times() == {"AAA": 1}
    return scene


def _is_cut_into_parts(stage: Stage) -> Scene:
    scene = Scene(f"{_PRICES:,} prices in one call: an answer gets lost, and three prices are refused")
    service = _fresh(stage)
    service.behaviour.failing = frozenset({"PRICE.17", "PRICE.800", "PRICE.2400"})
    service.faults.add("cut", kind="action", after=True)
    elements = [{"_id": f"PRICE.{number}", "value": number / 4} for number in range(_PRICES)]
    answer = stage.post_pushing(scene, _BATCHES, {"_type": "VarBatch", "name": "PRICES", "elements": elements})
    failures = {name for names in scene.answer["summary"]["failures"].values() for name in names}
    run = stage.look(Scene(""), f"/api/runs/{answer.headers['Nightshift-Run']}?limit=1000").json()
    scene.answer = {"status": scene.answer["status"], "message": scene.answer["message"], "failures": sorted(failures)}
    scene.promises["five parts of 500, each looked up by its id; the one without an answer too"] = (
        len({one.batch for one in service.book.taken()}) == _PRICES // 500
    )
    scene.promises["each price was taken once, and the three are named in one summary"] = (
        failures == service.behaviour.failing and set(service.book.times().values()) == {1}
    )
    scene.promises["the report has the part of each price"] = all(item["about"]["batch"] for item in run["items"])
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (_is_as_documented, _is_cut_into_parts)


def _fresh(stage: Stage) -> OpenDataDsl:
    """Return the simulated OpenDataDSL as at its beginning: no batches, an empty book."""
    service = stage.machine.landscape.opendatadsl
    service.reset()
    return service
