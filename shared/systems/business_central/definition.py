"""The definition of Business Central."""

from collections.abc import Mapping, Sequence

from shared.core.targets import Target
from shared.systems.business_central import body, multipart, rendering, requests
from shared.systems.business_central.actions import Sending
from shared.systems.business_central.again import call_again
from shared.systems.business_central.client import read_companies
from shared.systems.business_central.described import DESCRIBED
from shared.systems.contract import SystemDefinition
from shared.systems.operations import BatchHead, BatchOperation, FanOut, OperationList, OperationsBody
from shared.validation.body import media_type_of
from shared.validation.request import Call


def _read(call: Call) -> OperationsBody:
    written = multipart.read(call) if media_type_of(call) == multipart.MEDIA_TYPE else body.read(call)
    root = call.route_params.get("root", "")

    def validated(target: Target) -> OperationList:
        return requests.batch_of(written, call, target, root)

    return OperationsBody(written.options.target, validated)


def _again(batch: BatchHead, operations: Sequence[BatchOperation], replaced: Mapping[str, str]) -> OperationsBody:
    return _read(call_again(batch, operations, replaced))


def _about(one: BatchOperation, _part: str) -> Mapping[str, str]:
    return {"operation": f"{one.method} {one.url}"}


BUSINESS_CENTRAL = SystemDefinition(
    name=requests.SYSTEM,
    shape="operations",
    probe=read_companies,
    fan_out=FanOut(
        read=_read,
        again=_again,
        chunks=requests.chunks,
        sender=Sending,
        pieces=rendering.pieces,
        render=rendering.rendered,
        about=_about,
        inner_statuses=True,
        settles_by_fields=True,
    ),
    described=DESCRIBED,
)
