"""What the function of Business Central takes and returns, for `openapi`."""

from collections.abc import Mapping

from shared.core.problems import HeaderNotValid, NotMultipart
from shared.systems.business_central.body import MOST_OPERATIONS
from shared.systems.business_central.drafts import Options
from shared.systems.business_central.requests import SYSTEM
from shared.validation.described import BODY, JSON, MULTIPART, TARGET, Answer, Described, Parameter

_NAMES = {"type": "object", "additionalProperties": {"type": "string"}}
_OPERATION = {
    "type": "object",
    "required": ["method", "url"],
    "properties": {
        "id": {"type": "string"},
        "method": {"enum": ["GET", "POST", "PATCH", "PUT", "DELETE"]},
        "url": {"type": "string", "description": "Relative to the API's root, such as `companies(...)/items`."},
        "headers": _NAMES,
        "body": {"description": "JSON, or a text of another media type."},
        "dependsOn": {"type": "array", "items": {"type": "string"}},
        "atomicityGroup": {"type": "string"},
    },
}
_BATCH = {
    "type": "object",
    "title": "ODataBatch",
    "description": "A batch (OData JSON Format 4.01, 19.1); `nightshift` is not sent.",
    "required": ["requests"],
    "properties": {
        "requests": {"type": "array", "minItems": 1, "maxItems": MOST_OPERATIONS, "items": _OPERATION},
        "nightshift": Options,
    },
}
_RESPONSES = {
    "type": "object",
    "title": "ODataBatchResponse",
    "description": "One response for each operation, in the order of the requests.",
    "required": ["responses"],
    "properties": {
        "responses": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "status"],
                "properties": {
                    "id": {"type": "string"},
                    "atomicityGroup": {"type": "string"},
                    "status": {"type": "integer"},
                    "headers": _NAMES,
                    "body": {"description": "JSON, or a text of another media type."},
                },
            },
        }
    },
}
_BOTH, _VERSION = (JSON, MULTIPART), ("OData-Version",)
_IN_HEADERS = (
    Parameter("Isolation", "`snapshot`: all or nothing.", {"enum": ["snapshot"]}, place="header"),
    Parameter("OData-Isolation", "As `Isolation`, in OData 4.0.", {"enum": ["snapshot"]}, place="header"),
    Parameter("Company", "The company of operations that name none.", place="header"),
)

DESCRIBED: Mapping[str, Described] = {
    "batch": Described(
        tag=SYSTEM,
        starts_run=True,
        body=_BATCH,
        body_types=_BOTH,
        parameters=_IN_HEADERS,
        answers=(
            Answer("The responses to the operations.", _RESPONSES, media_types=_BOTH, headers=_VERSION),
            Answer(
                "The responses to the operations, if none was answered, or not all are done (`handling=strict`).",
                _RESPONSES,
                422,
                _BOTH,
                _VERSION,
            ),
        ),
        problems=(*BODY, *TARGET, NotMultipart, HeaderNotValid),
        paths={
            "": "business-central/api/v2.0/$batch",
            "_of_custom_api": "business-central/api/{publisher}/{group}/{version}/$batch",
        },
        path={
            "publisher": "The publisher of a custom API.",
            "group": "The group of a custom API.",
            "version": "The version of a custom API.",
        },
    ),
}
