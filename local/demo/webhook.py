"""The webhook of a flow that shows cards to people, such as a Teams workflow."""

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Self

_POLL_SECONDS = 0.05


class Webhook:
    """Takes cards on a port of the loopback, and keeps what a person reads in them.

    Attributes:
        url: Where to post a card.
        cards: The texts of each card, in the order of their arrival; the first one is the card's title.
    """

    def __init__(self) -> None:
        """Take a free port; nobody listens yet."""
        self.cards: list[list[str]] = []
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/workflows/on-call"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cards = self.cards

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                cards.append(texts(message))
                self.send_response(HTTPStatus.ACCEPTED)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Log nothing."""

        return Handler


def texts(message: dict[str, Any]) -> list[str]:
    """Return the lines that a person reads in a message with one card."""
    body = message["attachments"][0]["content"]["body"]
    return ["".join(run["text"] for run in block["inlines"]) for block in body]
