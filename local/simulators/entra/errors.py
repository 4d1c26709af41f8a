"""The error answers of Microsoft Entra ID's token endpoint (AADSTS error codes page)."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import JSONResponse


@dataclass(frozen=True, slots=True)
class EntraError(Exception):
    """One refusal: the OAuth error, the AADSTS number, the sentence and the HTTP status."""

    error: str
    code: int
    sentence: str
    status: int = 400

    def answer(self, now: datetime, correlation_id: str) -> JSONResponse:
        """Answer as Entra does: the ids and the time stand in the text once more."""
        trace_id, timestamp = str(uuid.uuid4()), now.strftime("%Y-%m-%d %H:%M:%SZ")
        ids = f"Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        content = {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {self.sentence} {ids}",
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
        }
        return JSONResponse(content, self.status)


def unknown_tenant(tenant: str) -> EntraError:
    """Answer for a tenant that is not ours."""
    return EntraError("invalid_request", 90002, f"Tenant '{tenant}' not found. Check to make sure you have the correct"
                      " tenant ID and are signing into the correct cloud.")  # fmt: skip


def missing(parameter: str) -> EntraError:
    """Answer for a form that lacks a parameter."""
    sentence = f"The request body must contain the following parameter: '{parameter}'."
    return EntraError("invalid_request", 900144, sentence)


def unsupported_grant(grant: str) -> EntraError:
    """Answer for any grant but client credentials."""
    return EntraError("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")


def unknown_client(client_id: str, tenant: str) -> EntraError:
    """Answer for a client that the tenant does not know."""
    sentence = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
    return EntraError("unauthorized_client", 700016, sentence)


def missing_secret() -> EntraError:
    """Answer for a client that proves nothing."""
    sentence = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
    return EntraError("invalid_client", 7000218, sentence, 401)


def wrong_secret(client_id: str) -> EntraError:
    """Answer for a secret that is not the client's."""
    sentence = (
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        f"not the client secret ID, for a secret added to app '{client_id}'."
    )
    return EntraError("invalid_client", 7000215, sentence, 401)


def refused_signature(reason: str) -> EntraError:
    """Answer for an assertion that no certificate of the client has signed."""
    sentence = f"Client assertion failed signature validation. [Reason - {reason}]"
    return EntraError("invalid_client", 700027, sentence, 401)


def malformed_assertion() -> EntraError:
    """Answer for an assertion that is no JWT, or none that may be used."""
    return EntraError("invalid_client", 50027, "JWT token is invalid or malformed.", 401)


def other_application() -> EntraError:
    """Answer for an assertion of another client."""
    sentence = "Client assertion application identifier doesn't match 'client_id' parameter."
    return EntraError("invalid_client", 700021, sentence, 401)


def other_audience() -> EntraError:
    """Answer for an assertion that was made for another token endpoint."""
    sentence = "Client assertion audience claim does not match Realm issuer."
    return EntraError("invalid_client", 700023, sentence, 401)


def assertion_out_of_time(now: datetime) -> EntraError:
    """Answer for an assertion that has expired, or is not valid yet."""
    sentence = f"Client assertion is not within its valid time range. Current time: {now.isoformat()}."
    return EntraError("invalid_client", 700024, sentence, 401)


def no_federated_credential(claim: str, value: object) -> EntraError:
    """Answer for a foreign token of which an issuer, audience or subject is not trusted."""
    code = {"issuer": 700211, "audience": 700212, "subject": 700213}[claim]
    sentence = (
        f"No matching federated identity record found for presented assertion {claim} '{value}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion."
    )
    return EntraError("invalid_client", code, sentence, 401)


def wrong_scope(scope: str) -> EntraError:
    """Answer for a scope that does not end in /.default."""
    sentence = (
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI)."
    )
    return EntraError("invalid_scope", 1002012, sentence)


def out_of_order(status: int, sentence: str) -> EntraError:
    """Answer for a token endpoint that has troubles of its own."""
    text = sentence or "A transient error has occurred. Please try again."
    return EntraError("temporarily_unavailable", 90033, text, status)
