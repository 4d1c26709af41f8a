"""The definition of Business Central."""

from collections.abc import Sequence

from shared.core.targets import Target
from shared.systems.business_central import body, requests
from shared.systems.business_central.actions import Sending
from shared.systems.business_central.client import read_companies
from shared.systems.contract import SystemDefinition
from shared.systems.operations import ChunkSender, FanOut, OperationList, OperationsBody
from shared.transport.connection import Connection
from shared.validation.request import Call


def _read(call: Call) -> OperationsBody:
    written, root = body.read(call), call.route_params.get("root", "")

    def validated(target: Target) -> OperationList:
        return requests.batch_of(written, call, target, root)

    return OperationsBody(written.options.target, validated)


def _sender(connection: Connection, root: str, settle_by: Sequence[str], run: str, snapshot: bool) -> ChunkSender:  # noqa: FBT001 - as the contract has it
    return Sending(connection, root, settle_by, run, snapshot=snapshot)


BUSINESS_CENTRAL = SystemDefinition(
    name=requests.SYSTEM,
    shape="operations",
    probe=read_companies,
    fan_out=FanOut(read=_read, chunks=requests.chunks, sender=_sender),
)
