"""For tests that talk to Business Central: a caller with a token, and operations as callers write them."""

from typing import Any

import requests

from local.simulators.common.exact_json import dumps
from local.simulators.landscape import Landscape
from local.simulators.testing.caller import SystemCaller

ACCOUNT = "0d6a1d3c-3b5c-4c0c-8d7c-111111111111"

type Operation = dict[str, Any]


class CentralCaller(SystemCaller):
    """Speaks HTTP to Business Central with a good token, unless told otherwise."""

    def __init__(self, landscape: Landscape) -> None:
        self._issuer = landscape.issuer
        super().__init__(landscape.business_central.url)

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        content: str | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> requests.Response:
        """Call a path below `/api/v2.0`, or one that begins with `/`; a header of None is not sent."""
        whole: dict[str, str | None] = {
            "Authorization": f"Bearer {token or self._issuer.token(self.url)}",
            "client-request-id": "c-1",
            "Content-Type": "application/json" if content is not None else None,
            "Accept": "application/json",
            **(headers or {}),
        }
        url = f"{self.url}{path if path.startswith('/') else f'/api/v2.0/{path}'}"
        sent = {name: value.encode() if value is not None else None for name, value in whole.items()}
        return self.session.request(method, url, headers=sent, data=content, timeout=10, allow_redirects=False)

    def batch(self, *operations: Operation, root: str = "/api/v2.0", **headers: str | None) -> requests.Response:
        """Send operations; the names of headers are written with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", f"{root}/$batch", content=dumps({"requests": list(operations)}), headers=named)

    def raw(self, content: str, **headers: str | None) -> requests.Response:
        """Send a batch as a text of your own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "$batch", content=content, headers=named)


def post(operation_id: str | None, url: str, body: object, **headers: str) -> Operation:
    """Return an operation that writes; the names of headers are written with `_` for `-`."""
    whole = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    named = {} if operation_id is None else {"id": operation_id}
    return {"method": "POST", **named, "url": url, "headers": whole, "body": body}


def get(operation_id: str, url: str, **more: object) -> Operation:
    """Return an operation that reads."""
    return {"method": "GET", "id": operation_id, "url": url, **more}


def line(operation_id: str | None, company: str, journal: str, **fields: object) -> Operation:
    """Return an operation that adds a line to a journal."""
    body = {"accountId": ACCOUNT, "postingDate": "2020-10-20", "documentNumber": "SALARY2020-10", **fields}
    return post(operation_id, f"companies({company})/journals({journal})/journalLines", body)


def statuses(response: requests.Response) -> dict[str | None, int]:
    """Return the status of each operation by its id."""
    return {one["id"]: one["status"] for one in response.json()["responses"]}
