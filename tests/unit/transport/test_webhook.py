"""A message is posted once; the webhook's URL is a secret that no text quotes."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shared.transport.webhook import Delivery, post

SIGNATURE = "sig=very-secret"


class Webhook(BaseHTTPRequestHandler):
    """A webhook that answers with the status in its path, or closes the connection."""

    posted: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.path, body))
        status = self.path.split("?")[0].rpartition("/")[2]
        if status == "cut":
            self.connection.close()
            return
        self.send_response(int(status))
        self.send_header("Location", "/202")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    handler = type("Mine", (Webhook,), {"posted": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.posted  # type: ignore[attr-defined]  # set above
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_message_is_delivered(webhook: tuple[str, list[tuple[str, bytes]]], status: int) -> None:
    url, posted = webhook
    assert post(f"{url}/workflows/{status}?{SIGNATURE}", b"{}") == Delivery("delivered")
    assert posted == [(f"/workflows/{status}?{SIGNATURE}", b"{}")]


@pytest.mark.parametrize("status", [302, 401, 404, 413, 429, 503])
def test_a_message_that_is_refused_is_posted_once(webhook: tuple[str, list[tuple[str, bytes]]], status: int) -> None:
    url, posted = webhook
    told = post(f"{url}/{status}?{SIGNATURE}", b"{}")
    assert told == Delivery("not_delivered", f"The webhook answered {status}.")
    assert len(posted) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 504, 524])
def test_a_message_that_a_gateway_may_have_passed_on_is_not_repeated(
    webhook: tuple[str, list[tuple[str, bytes]]], status: int
) -> None:
    url, posted = webhook
    assert post(f"{url}/{status}?{SIGNATURE}", b"{}") == Delivery("lost", f"The webhook answered {status}.")
    assert len(posted) == 1


def test_a_message_without_an_answer_may_have_been_delivered(webhook: tuple[str, list[tuple[str, bytes]]]) -> None:
    url, posted = webhook
    told = post(f"{url}/cut?{SIGNATURE}", b"{}")
    assert (told.state, len(posted)) == ("lost", 1)
    assert SIGNATURE not in told.reason


def test_a_webhook_that_cannot_be_reached_got_nothing() -> None:
    told = post(f"http://127.0.0.1:9/{SIGNATURE}", b"{}")
    assert told.state == "not_delivered"
    assert SIGNATURE not in told.reason


@pytest.mark.parametrize(
    "url",
    [
        f"http://example.com/{SIGNATURE}",
        f"https://user:{SIGNATURE}@example.com",
        f"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/{SIGNATURE})",
        f"https://example.com/?{SIGNATURE}\nHost: x",
        f"https://example.com/?a b&{SIGNATURE}",
    ],
)
def test_a_url_that_is_wrong_is_not_called_and_not_quoted(url: str) -> None:
    told = post(url, b"{}")
    assert (told.state, told.reason.split()[0]) == ("not_delivered", "NOTIFY_URL")
    assert SIGNATURE not in told.reason
