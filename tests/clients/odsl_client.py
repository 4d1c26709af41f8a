"""The vendor's Python client (`odsl`), unmodified: one call of it.

An argument tells the address, who signs in, the headers that are sent besides, and the call with what it is given. The
client prints much by itself, so what the call returned is the last line.
"""

import json
import os
import sys
from typing import Any

import msal.authority

# When it is imported, it asks Microsoft's login page for its addresses; nothing here leaves for another machine.
msal.authority.tenant_discovery = lambda *_, **__: dict.fromkeys(
    ("authorization_endpoint", "token_endpoint", "issuer"), "https://login.invalid/common"
)
for name in ("HTTP_PROXY", "HTTPS_PROXY"):
    os.environ[name] = "http://127.0.0.1:9"
os.environ["NO_PROXY"] = "127.0.0.1"

from odsl import sdk  # noqa: E402 - as above
from odsl.types import Curve  # noqa: E402 - as above


def curve() -> dict[str, Any]:
    """Return a batch with a curve that the client's own builder has made."""
    built = Curve("2026-11-27", "#REOMHENG", id="CURVE").add("M01", 1.4).add("M02", 2.25)
    element = {"_id": "AAA", "_type": "VarSimpleObject", "CURVE": built.data}
    return {"_id": "0001-client", "_type": "VarBatch", "name": "LOADER", "elements": [element]}


def main(told: dict[str, Any]) -> None:
    """Sign in as the client does, and make one call; `"curve"` among its arguments stands for a batch with a curve."""
    client = sdk.ODSL()
    client.url = told["url"]
    client.loginWithAPIKey(told["user"], told["key"])
    client.credentials |= told["headers"]
    given = [curve() if one == "curve" else one for one in told["given"]]
    found = getattr(client, told["call"])(*given)
    sys.stdout.write(json.dumps({"found": dict(found) if told["call"] == "headers" else found}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
