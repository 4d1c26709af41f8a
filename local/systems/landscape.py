"""Everything that the function app talks to, started and stopped as one."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from local.systems.business_central import BusinessCentral
from local.systems.business_events import CallAt
from local.systems.camunda import Camunda
from local.systems.finance_operations import FinanceOperations
from local.systems.issuer import Issuer


class Landscape:
    """The simulated systems and a token issuer on free ports of 127.0.0.1; used once, from start to stop.

    Args:
        now: Tells the time to all of them, in UTC with its zone.
        call_at: Calls back at an instant; business events need it.

    Attributes:
        finance_operations: The simulated environment of Finance & Operations.
        business_central: That of Business Central.
        camunda: The simulated engine of Camunda 7.
        issuer: The token issuer.
        ca_file: The certificate authority that signed the issuer's certificate.
        settings: The app settings with which the function app finds them.
    """

    def __init__(self, now: Callable[[], datetime], call_at: CallAt | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="landscape-")
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._certificate = Path(self._folder.name) / "issuer.pem"
        self._write_certificates()
        self.issuer = Issuer(now)
        self.finance_operations = FinanceOperations(now, self.issuer, call_at)
        self.business_central = BusinessCentral(now, self.issuer, call_at)
        self.camunda = Camunda(now, self.issuer)
        self.settings = self._settings()

    def start(self) -> Self:
        """Serve all systems; they can be reached when this returns."""
        try:
            self.issuer.start(self._certificate)
            self.finance_operations.start()
            self.business_central.start()
            self.camunda.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all systems, cut what is held, and remove the certificates."""
        systems = (self.issuer, self.finance_operations, self.business_central, self.camunda)
        for system in systems:
            system.ask_to_stop()
        for system in systems:
            system.stop()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _write_certificates(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(self._certificate))

    def _settings(self) -> dict[str, str]:
        known = self.issuer.identities
        common = {"SYSTEM": "finance-operations", "URL": self.finance_operations.url}
        secret = {
            "AUTH": "client-secret",
            "TENANT": known.tenant,
            "CLIENT_ID": known.client_id,
            "CLIENT_SECRET": known.client_secret,
            "AUTHORITY": self.issuer.url,
            "CA_FILE": str(self.ca_file),
        }
        central = {"SYSTEM": "business-central", "URL": self.business_central.url}
        camunda = {"SYSTEM": "camunda", "URL": self.camunda.url, "AUTH": "none"}
        return {
            **{f"TARGETS__BC__{name}": value for name, value in {**central, **secret}.items()},
            **{f"TARGETS__CAMUNDA__{name}": value for name, value in camunda.items()},
            **{f"TARGETS__FO__{name}": value for name, value in {**common, **secret}.items()},
            **{f"TARGETS__FO_MI__{name}": value for name, value in {**common, "AUTH": "managed-identity"}.items()},
            "IDENTITY_ENDPOINT": f"{self.issuer.managed_identity_url}/msi/token",
            "IDENTITY_HEADER": known.identity_header,
        }
