"""The settings of a target's credential: the kinds, what each kind needs, and which systems take it."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from shared.core import credential_values
from shared.core.urls import checked_url

if TYPE_CHECKING:
    from shared.core.certificates import ClientCertificate

Auth = Literal[
    "none",
    "basic",
    "bearer",
    "client-secret",
    "certificate",
    "federated",
    "managed-identity",
    "api-key",
    "ticket",
    "refresh-token",
    "system-user",
]

_ENTRA: tuple[Auth, ...] = ("client-secret", "certificate", "federated", "managed-identity")
_TAKES: Mapping[str, tuple[Auth, ...]] = {
    "finance-operations": _ENTRA,
    "business-central": _ENTRA,
    "camunda": ("none", "basic", "bearer", *_ENTRA),
    "superoffice": ("basic", "ticket", "refresh-token", "system-user"),
    "opendatadsl": (*_ENTRA, "api-key"),
}
"""The kinds of credential that each system takes."""

_NEEDED: Mapping[Auth, tuple[str, ...]] = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "client-secret": ("tenant", "client_id", "client_secret"),
    "certificate": ("tenant", "client_id", "certificate"),
    "federated": ("tenant", "client_id"),
    "api-key": ("email", "api_key"),
    "ticket": ("token",),
    "refresh-token": ("context", "client_id", "client_secret", "refresh_token"),
    "system-user": ("context", "app_token", "system_token", "private_key"),
}


class CredentialSettings(BaseModel):
    """The settings of a credential of any kind. Those of other kinds than the target's are ignored."""

    tenant: str = Field(default="", description="The id of the Entra tenant (client-secret, certificate, federated).")
    client_id: str = Field(
        default="",
        description="The client id (client-secret, certificate, federated, refresh-token), or that of a user-assigned "
        "identity (managed-identity).",
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""),
        description="The client secret; preferably a Key Vault reference (client-secret, refresh-token).",
    )
    certificate: SecretStr = Field(
        default=SecretStr(""),
        description="The certificate with its RSA private key: both in PEM, with line breaks that may be written as "
        "`\\n`, or a PFX in base64; preferably a Key Vault reference (certificate).",
    )
    certificate_password: SecretStr = Field(
        default=SecretStr(""), description="The password of the PFX, or of the key in PEM, if it has one (certificate)."
    )
    send_x5c: Literal["on", "off"] = Field(
        default="off",
        description="`on`: the certificate is sent along, for an app that trusts a subject name and issuer instead of "
        "one certificate (certificate).",
    )
    identity_client_id: str = Field(
        default="",
        description="The client id of the user-assigned identity whose token is the assertion; empty: the identity "
        "that the system assigned to the app (federated).",
    )
    assertion_audience: str = Field(
        default="api://AzureADTokenExchange",
        description="The audience of that token; national clouds have their own, such as "
        "`api://AzureADTokenExchangeUSGov` (federated).",
    )
    authority: str = Field(
        default="https://login.microsoftonline.com", description="The token issuer; national clouds have their own."
    )
    scope: str = Field(
        default="",
        description=(
            "The token's scope. Empty: `{URL}/.default`, in lower case; for Business Central online "
            "`https://api.businesscentral.dynamics.com/.default`; for opendatadsl `api://opendatadsl/.default`. A "
            "camunda engine behind Entra needs one."
        ),
    )
    username: str = Field(default="", description="The user name, without a colon (basic).")
    password: SecretStr = Field(
        default=SecretStr(""), description="The password; preferably a Key Vault reference (basic)."
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="The token, sent unchanged; preferably a Key Vault reference (bearer, ticket).",
    )
    email: str = Field(default="", description="The e-mail address of the person whose key it is (api-key).")
    api_key: SecretStr = Field(
        default=SecretStr(""), description="The API key; preferably a Key Vault reference (api-key)."
    )
    api_key_as: Literal["basic", "headers"] = Field(
        default="basic",
        description="How the API key is sent: as `basic` authentication, or in the `headers` `x-odsl-email` and "
        "`x-odsl-key` (api-key).",
    )
    app_token: SecretStr = Field(
        default=SecretStr(""),
        description="The application token (client secret), sent as `SO-AppToken` (ticket, system-user).",
    )
    context: str = Field(
        default="",
        description="The tenant of SuperOffice Online, such as `Cust12345`. The API's URL is then asked of the login "
        "host, which is the URL of the target (superoffice).",
    )
    refresh_token: SecretStr = Field(
        default=SecretStr(""), description="The refresh token of a person who has signed in (refresh-token)."
    )
    system_token: SecretStr = Field(
        default=SecretStr(""), description="The system user token of app and tenant (system-user)."
    )
    private_key: SecretStr = Field(
        default=SecretStr(""),
        description="The app's RSA key in PEM; line breaks may be written as `\\n` (system-user).",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_reference(cls, value: object) -> object:
        # Azure leaves a reference as it stands if it can't resolve it; no system should see it as a password.
        if isinstance(value, str) and value.startswith("@Microsoft.KeyVault("):
            raise ValueError(
                "is a Key Vault reference that Azure did not resolve: set the secret, see that the app's identity may "
                "read it, then let Azure read the references again (docs/deploy.md)"
            )
        return value

    @field_validator("authority")
    @classmethod
    def _check_authority(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("username")
    @classmethod
    def _check_username(cls, value: str) -> str:
        if ":" in value:
            # The password would begin there (RFC 7617, 2).
            raise ValueError("must not contain a colon")
        credential_values.check_basic(value)
        return value

    @field_validator("password")
    @classmethod
    def _check_password(cls, value: SecretStr) -> SecretStr:
        credential_values.check_basic(value.get_secret_value())
        return value

    @field_validator("token", "app_token", "refresh_token")
    @classmethod
    def _check_token(cls, value: SecretStr) -> SecretStr:
        credential_values.check_token(value.get_secret_value())
        return value

    @field_validator("email")
    @classmethod
    def _check_email(cls, value: str) -> str:
        if ":" in value:
            # The key would begin there (RFC 7617, 2).
            raise ValueError("must not contain a colon")
        credential_values.check_api_key(value)
        return value

    @field_validator("api_key")
    @classmethod
    def _check_api_key(cls, value: SecretStr) -> SecretStr:
        credential_values.check_api_key(value.get_secret_value())
        return value

    @field_validator("system_token")
    @classmethod
    def _check_system_token(cls, value: SecretStr) -> SecretStr:
        credential_values.check_system_token(value.get_secret_value())
        return value

    @field_validator("private_key")
    @classmethod
    def _check_private_key(cls, value: SecretStr) -> SecretStr:
        if value:
            from shared.core.certificates import private_key  # noqa: PLC0415 - few targets need cryptography

            private_key(value.get_secret_value())
        return value

    @field_validator("context")
    @classmethod
    def _check_context(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", value):
            # It stands in a URL.
            raise ValueError("must be letters, digits, - and _ only, such as Cust12345")
        return value

    def mistakes(self, system: str, auth: Auth) -> Iterator[str]:
        """Yield what is wrong or missing if a target of this system signs in this way."""
        if auth not in _TAKES[system]:
            yield f"AUTH {auth} is not for {system}, which takes {', '.join(_TAKES[system])}"
            return
        needed = _NEEDED.get(auth, ())
        if not all(getattr(self, field) for field in needed):
            *others, last = (field.upper() for field in needed)
            yield f"AUTH {auth} needs {' and '.join([', '.join(others), last] if others else [last])}"
        if auth == "certificate" and self.certificate:
            yield from self._flaws_of_certificate()
        if system == "camunda" and auth in _ENTRA and not self.scope:
            yield f"AUTH {auth} needs SCOPE for camunda, since an engine's URL is not an Entra audience"
        if system != "superoffice" and self.context:
            yield "CONTEXT is for superoffice only"

    def _flaws_of_certificate(self) -> Iterator[str]:
        try:
            self.client_certificate()
        except ValueError as error:
            yield f"CERTIFICATE {error}"

    def client_certificate(self) -> "ClientCertificate":
        """Return the certificate and its key.

        Raises:
            ValueError: CERTIFICATE is none, or CERTIFICATE_PASSWORD is wrong.
        """
        from shared.core.certificates import client_certificate  # noqa: PLC0415 - as above

        return client_certificate(self.certificate.get_secret_value(), self.certificate_password.get_secret_value())
