"""Carries faults out: between a call's arrival and its answer, for any of the simulated systems."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse, Response, StreamingResponse

from local.simulators.common.faults import Fault, Faults, Occasion
from local.simulators.common.server import Cut

type MakeAnswer = Callable[[Fault, Occasion, Response | None], Response]
"""Makes the faulty answer out of the fault, the call and, if the system acted, the true answer."""

# Service protection API limits page, in the product's own spelling.
_LIMIT_TEXTS = {
    "requests": "Number of requests exeeded the limit of 6000 over the time window of 300 seconds.",
    "time": "Combined execution time of incoming requests exceeded limit of 1200 seconds over the time window of"
    " 300 seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later.",
    "concurrent": "Number of concurrent requests exceeded the limit of 52.",
    "resources": "This request could not be processed at this time due to system experiencing high resource"
    " utilization.",
}
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
LOGIN = "/login"
"""Where a person could sign in."""
_MEGABYTE = bytes(1024 * 1024)
_NEED_THE_TRUE_ANSWER = {"malformed", "foreign-next-link", "reversed", "shuffled", "bom", "drip"}


class Misbehaviour:
    """What a system does wrong.

    Args:
        faults: The faults that are waiting.
        now: Tells the time, for a Retry-After date.
        error: Makes the system's own error answer out of a status and a text.
        elsewhere: Tells the other origin that redirects and links lead to.
        more: Effects that only this system has.
        limit_texts: What a `throttle` says of each limit.
    """

    def __init__(
        self,
        faults: Faults,
        now: Callable[[], datetime],
        error: Callable[[int, str], Response],
        elsewhere: Callable[[], str],
        more: Mapping[str, MakeAnswer] | None = None,
        *,
        limit_texts: Mapping[str, str] = _LIMIT_TEXTS,
    ) -> None:
        self._faults = faults
        self._now = now
        self._error = error
        self._elsewhere = elsewhere
        self._limit_texts = limit_texts
        self._makers: dict[str, MakeAnswer] = {
            "status": self._status,
            "throttle": self._throttle,
            "html": _html,
            "malformed": _malformed,
            "cut": _cut,
            "redirect": self._redirect,
            "login": self._login,
            "empty": _empty,
            "bom": _with_bom,
            "drip": _drip,
            "bomb": _bomb,
            "foreign-next-link": self._foreign_next_link,
            **(more or {}),
        }

    async def answer(self, call: Occasion, act: Callable[[], Response]) -> Response:
        """Answer a call: truly by `act`, or as the first matching fault has it."""
        return await self.carry_out(self._faults.take(call), call, act)

    async def carry_out(self, fault: Fault | None, call: Occasion, act: Callable[[], Response]) -> Response:
        """Answer a call truly if there is no fault, or as the fault has it."""
        if fault is None:
            return act()
        if fault.effect == "hold":
            return await self._held(fault, act)
        acts = fault.acts_first or fault.effect in _NEED_THE_TRUE_ANSWER
        true_answer = act() if acts else None
        maker = self._makers.get(fault.effect, self._status)
        return maker(fault, call, true_answer)

    async def _held(self, fault: Fault, act: Callable[[], Response]) -> Response:
        if fault.acts_first:
            true_answer = act()
            return true_answer if await self._faults.hold() else Cut()
        return act() if await self._faults.hold() else Cut()

    def _status(self, fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
        return self._with_retry_after(fault, self._error(fault.status or 500, fault.message or ""))

    def _throttle(self, fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
        return self._with_retry_after(fault, self._error(429, fault.message or self._limit_texts[fault.limit]))

    def _with_retry_after(self, fault: Fault, response: Response) -> Response:
        if fault.retry_after is not None:
            response.headers["Retry-After"] = retry_after(fault.retry_after, self._now, fault)
        return response

    def _redirect(self, fault: Fault, call: Occasion, _answer: Response | None) -> Response:
        return Response(status_code=302, headers={"Location": self._at(fault, call)})

    def _login(self, fault: Fault, call: Occasion, _answer: Response | None) -> Response:
        origin = urlsplit(fault.to or self._elsewhere())
        page = f"{origin.scheme}://{origin.netloc}{LOGIN}?{urlencode({'ReturnUrl': call.path})}"
        return Response(status_code=302, headers={"Location": page})

    def _foreign_next_link(self, fault: Fault, call: Occasion, answer: Response | None) -> Response:
        content = json.loads(_body(answer) or b"{}")
        return _json(200, {**content, "@odata.nextLink": self._at(fault, call)})

    def _at(self, fault: Fault, call: Occasion) -> str:
        return f"{fault.to or self._elsewhere()}{call.path}"


def retry_after(seconds: int, now: Callable[[], datetime], fault: Fault) -> str:
    """Return the value of a Retry-After header, as a number or as a date."""
    as_date = fault.retry_after_as_date
    return format_datetime(now() + timedelta(seconds=seconds), usegmt=True) if as_date else str(seconds)


def _html(fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    return HTMLResponse(_PAGE.format(fault.message or "Sign in to your account"), status_code=fault.status or 200)


def _malformed(_fault: Fault, _call: Occasion, answer: Response | None) -> Response:
    half = _body(answer)[: len(_body(answer)) // 2]
    # Half of a number is a number: that would be another answer, and not a malformed one.
    return Response(b"{" if half.isdigit() or not half else half, media_type="application/json")


def login_page() -> Response:
    """Return the page where a person could sign in."""
    return HTMLResponse(_PAGE.format("Sign in to your account"))


def _empty(fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    return Response(status_code=fault.status or 404)


def _with_bom(_fault: Fault, _call: Occasion, answer: Response | None) -> Response:
    return _like(answer, b"\xef\xbb\xbf" + _body(answer))


def _drip(fault: Fault, _call: Occasion, answer: Response | None) -> Response:
    body = _body(answer)

    async def dripping() -> AsyncIterator[bytes]:
        for at in range(len(body)):
            await asyncio.sleep(fault.pause)
            yield body[at : at + 1]

    return StreamingResponse(dripping(), answer.status_code if answer else 200, dict(answer.headers) if answer else {})


def _bomb(fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    headers = {"Content-Encoding": "gzip"}
    return StreamingResponse(_zeros(fault.megabytes), 200, headers, media_type="application/json")


def _zeros(megabytes: int) -> Iterator[bytes]:
    """Yield zeros as gzip, made as they are sent."""
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    for _ in range(megabytes):
        yield packer.compress(_MEGABYTE)
    yield packer.flush()


def _like(answer: Response | None, body: bytes) -> Response:
    """Return an answer with another body."""
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"} if answer else {}
    return Response(body, answer.status_code if answer else 200, headers)


def _cut(_fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    return Cut()


def _body(answer: Response | None) -> bytes:
    return bytes(answer.body) if answer else b""


def _json(status: int, content: object) -> Response:
    return Response(json.dumps(content), status_code=status, media_type="application/json")
