"""The HTTP functions of an app, as they are registered with Azure Functions."""

import inspect
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import azure.functions as func


@dataclass(frozen=True)
class HttpFunction:
    """One function with a route.

    Attributes:
        name: Its name on Azure.
        methods: Its HTTP methods.
        route: Its route, below `/api`.
        level: `FUNCTION` or `ANONYMOUS`.
        summary: The first line of its docstring.
    """

    name: str
    methods: tuple[str, ...]
    route: str
    level: str
    summary: str


def http_functions(functions: Iterable[func.Function]) -> Iterator[HttpFunction]:
    """Yield the functions that have a route, in the order in which they are registered."""
    for function in functions:
        for binding in map(json.loads, function.get_raw_bindings()):
            if binding["type"] == "httpTrigger":
                doc = inspect.getdoc(inspect.unwrap(function.get_user_function())) or ""
                yield HttpFunction(
                    name=function.get_function_name() or "",
                    methods=tuple(binding["methods"]),
                    route=binding["route"],
                    level=binding["authLevel"],
                    summary=doc.partition("\n")[0],
                )
