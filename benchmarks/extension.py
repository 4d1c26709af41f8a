"""The same on the Durable extension itself, if its program is named by NIGHTSHIFT_ENGINE."""

from pathlib import Path

from benchmarks import fan_out, single
from benchmarks.fan_out import MANY
from benchmarks.host import Host
from benchmarks.landscape import Landscape
from benchmarks.measuring import rounds
from benchmarks.table import NotMeasured, Row, row
from local import azurite
from local.extension import VARIABLE, program_of

_ROUNDS, _SINGLE_ROUNDS = (5, 40.0), 3
_MANY = "10,000 operations without latency: wall on the extension over the local hub"
_ONE = "one requeue on the extension less the system's time, over a bare orchestration there"


def extension() -> list[Row | NotMeasured]:
    """Measure a fan-out there over the local hub, and one requeue there over the least that there is.

    The store is the same on both. The bare orchestration is asked for with pauses: the SDK's own wait takes two seconds
    there.
    """
    program = program_of(None)
    reason = ""
    if program is None or not program.is_file():
        reason = f"{VARIABLE} names no program that runs the extension"
    elif not azurite.is_installed():
        reason = "Azurite is not installed (make engine installs it)"
    if reason or program is None:
        return [NotMeasured(_MANY, reason), NotMeasured(_ONE, reason)]
    return [row(_MANY, _over_local(program), 1.2), row(_ONE, single.measured(program, _SINGLE_ROUNDS, "polled"), 1.5)]


def _over_local(program: Path) -> list[float]:
    with (
        Landscape() as landscape,
        Host(landscape.settings) as local,
        Host(landscape.settings, engine=program) as there,
    ):
        central = landscape.business_central
        for host in (local, there):
            fan_out.warm_up(host, central)
        return [
            fan_out.seconds(there, central, MANY)[0] / fan_out.seconds(local, central, MANY)[0]
            for _ in rounds(*_ROUNDS)
        ]
