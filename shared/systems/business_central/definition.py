"""The definition of Business Central."""

from shared.core.targets import Target
from shared.systems.business_central import body, multipart, requests
from shared.systems.business_central.actions import Sending
from shared.systems.business_central.client import read_companies
from shared.systems.contract import SystemDefinition
from shared.systems.operations import FanOut, OperationList, OperationsBody
from shared.validation.body import media_type_of
from shared.validation.request import Call


def _read(call: Call) -> OperationsBody:
    written = multipart.read(call) if media_type_of(call) == multipart.MEDIA_TYPE else body.read(call)
    root = call.route_params.get("root", "")

    def validated(target: Target) -> OperationList:
        return requests.batch_of(written, call, target, root)

    return OperationsBody(written.options.target, validated)


BUSINESS_CENTRAL = SystemDefinition(
    name=requests.SYSTEM,
    shape="operations",
    probe=read_companies,
    fan_out=FanOut(read=_read, chunks=requests.chunks, sender=Sending),
)
