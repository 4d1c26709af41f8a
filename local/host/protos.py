"""Records that stand in for the worker library's protobuf messages, which it only ever fills and reads by attribute."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any


class _Message(SimpleNamespace):
    """A message: whatever fields it was made with."""


class BindingInfo(_Message):
    """A binding of a function, as indexed."""

    undefined = 0
    inout = 2
    out = 1


# "in" is a keyword, so that the class body can't name it.
setattr(BindingInfo, "in", 0)


class StatusResult(_Message):
    """How a request ended."""

    Failure = 0
    Success = 1
    exception = None


class RpcException(_Message):
    """An exception, as text."""


class RpcFunctionMetadata(_Message):
    """A function, as indexed."""


class RpcRetryOptions(_Message):
    """A function's retry policy."""


class WorkerInitResponse(_Message):
    """The answer to the first request."""


class WorkerMetadata(_Message):
    """Which worker library this is."""


class FunctionMetadataResponse(_Message):
    """All functions, as indexed."""


class TypedData(_Message):
    """One value; its only field tells its type."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Return the name of the field that is set."""
        return next(iter(vars(self)), None)


class ParameterBinding(_Message):
    """One input or output of an invocation."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        """Return the name of the field that holds the value."""
        return "data"


class InvocationResponse(_Message):
    """How an invocation ended."""

    return_value = None


class RpcHttp(_Message):
    """An HTTP request or answer."""

    def __init__(self, headers: Mapping[str, object], **fields: object) -> None:
        # A protobuf map of strings takes nothing else: on Azure, too, such an answer fails in the worker.
        for name, value in headers.items():
            if not isinstance(value, str):
                raise TypeError(f"the header {name} is {type(value).__name__}, not a string")
        super().__init__(headers=dict(headers), **fields)


class SameSite:
    """The values of a cookie's attribute of that name."""

    Lax = 1
    Strict = 2
    ExplicitNone = 3


setattr(SameSite, "None", 0)


class RpcHttpCookie(_Message):
    """A cookie of an HTTP answer."""

    SameSite = SameSite


class NullableString(_Message):
    """A text that may be missing."""


class NullableBool(_Message):
    """A truth value that may be missing."""


class NullableDouble(_Message):
    """A number that may be missing."""


class NullableTimestamp(_Message):
    """A moment that may be missing."""


def request(**kinds: object) -> SimpleNamespace:
    """Wrap one message as the stream between host and worker would."""
    return SimpleNamespace(request=SimpleNamespace(**kinds), properties={})


def invocation(invocation_id: str, function_id: str, inputs: Mapping[str, TypedData]) -> Any:  # noqa: ANN401 - untyped messages
    """Return the request to invoke one function."""
    return request(
        invocation_request=SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function_id,
            input_data=[ParameterBinding(name=name, data=data) for name, data in inputs.items()],
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
    )
