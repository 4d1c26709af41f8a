"""Everything that the function app talks to, started and stopped as one."""

import tempfile
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from local.simulators.business_central.server import BusinessCentral
from local.simulators.camunda.server import Camunda
from local.simulators.common.system import SimulatedSystem
from local.simulators.entra.issuer import Issuer
from local.simulators.finance_operations.business_events import CallAt
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.opendatadsl.server import OpenDataDsl
from local.simulators.superoffice.server import SuperOffice

SIMULATORS: tuple[type[SimulatedSystem], ...] = (
    FinanceOperations,
    BusinessCentral,
    Camunda,
    SuperOffice,
    OpenDataDsl,
)
SYSTEMS = tuple(one.system for one in SIMULATORS)


class Landscape:
    """The simulated systems and a token issuer on 127.0.0.1; used once, from start to stop.

    Args:
        now: Tells the time to all of them, in UTC with its zone.
        call_at: Calls back at an instant; business events need it.
        systems: The systems that are simulated; of the others there is an object, but nobody serves it.
        ports: The port of each system, of the `issuer`, of `managed-identity` and of `superoffice-login`; a free one
            where none is given.

    Attributes:
        finance_operations: The simulated environment of Finance & Operations.
        business_central: That of Business Central.
        camunda: The simulated engine of Camunda 7.
        superoffice: The simulated installation of SuperOffice.
        opendatadsl: The simulated tenant of OpenDataDSL.
        issuer: The token issuer.
        systems: What is simulated.
        ca_file: The certificate authority that signed the issuer's certificate.
        settings: The app settings with which the function app finds them.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        call_at: CallAt | None = None,
        *,
        systems: Collection[str] = SYSTEMS,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.systems = frozenset(systems)
        # Nobody gives tokens where no system takes them.
        served = {*self.systems, "issuer", "managed-identity"} if self.systems else set()
        if SuperOffice.system in self.systems:
            served.add("superoffice-login")
        port = {name: number for name, number in (ports or {}).items() if name in served}.get
        self._folder = tempfile.TemporaryDirectory(prefix="landscape-")
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._certificate = Path(self._folder.name) / "issuer.pem"
        self._write_certificates()
        self.issuer = Issuer(now, port=port("issuer", 0), identity_port=port("managed-identity", 0))
        self.finance_operations = FinanceOperations(now, self.issuer, call_at, port=port("finance-operations", 0))
        self.business_central = BusinessCentral(now, self.issuer, call_at, port=port("business-central", 0))
        self.camunda = Camunda(now, self.issuer, port=port("camunda", 0))
        self.superoffice = SuperOffice(now, port=port("superoffice", 0), login_port=port("superoffice-login", 0))
        self.opendatadsl = OpenDataDsl(now, self.issuer, port=port("opendatadsl", 0))
        self.all: tuple[SimulatedSystem, ...] = (
            self.finance_operations,
            self.business_central,
            self.camunda,
            self.superoffice,
            self.opendatadsl,
        )
        self.settings = self._settings()

    @property
    def simulated(self) -> list[SimulatedSystem]:
        """The systems that are served."""
        return [one for one in self.all if one.system in self.systems]

    def start(self) -> Self:
        """Serve all that is simulated; it can be reached when this returns."""
        try:
            if self.systems:
                self.issuer.start(self._certificate)
            for system in self.simulated:
                system.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all systems, cut what is held, and remove the certificates."""
        systems: tuple[Issuer | SimulatedSystem, ...] = (self.issuer, *self.all)
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
        secret = {
            "AUTH": "client-secret",
            "TENANT": known.tenant,
            "CLIENT_ID": known.client_id,
            "CLIENT_SECRET": known.client_secret,
            "AUTHORITY": self.issuer.url,
            "CA_FILE": str(self.ca_file),
        }
        targets = {
            one.target: {"SYSTEM": one.system, "URL": one.url, **(secret if one.needs_secret else one.credential)}
            for one in self.simulated
        }
        # A target that is a person's own gets no identity that is made up here.
        with_identity = self.finance_operations.target in targets
        if with_identity:
            operations = {"SYSTEM": self.finance_operations.system, "URL": self.finance_operations.url}
            targets["FO_MI"] = {**operations, "AUTH": "managed-identity"}
        found = {
            f"TARGETS__{target}__{name}": value for target, fields in targets.items() for name, value in fields.items()
        }
        return {**found, **self._identity()} if with_identity else found

    def _identity(self) -> dict[str, str]:
        return {
            "IDENTITY_ENDPOINT": f"{self.issuer.managed_identity_url}/msi/token",
            "IDENTITY_HEADER": self.issuer.identities.identity_header,
        }
