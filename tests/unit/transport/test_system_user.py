"""What a system user signs, which claims it trusts, and how long things are kept."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.superoffice.identities import Identities
from local.simulators.superoffice.system_user import flaw_of_signed_token
from shared.transport.refresh_tokens import is_token, lifetime
from shared.transport.system_user import flaw_of, signed_token
from shared.transport.tenants import valid_until

NOW = datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
APP = Identities(system_token="My Batch App-8k8Q7DmBgo")
CLAIMS = "http://schemes.superoffice.net/identity/"
GOOD: dict[str, Any] = {
    "iss": "SuperOffice AS",
    "aud": "spn:1801550193",
    "exp": NOW.timestamp() + 300,
    f"{CLAIMS}serial": "1801550193",
    f"{CLAIMS}ctx": "Cust12345",
    f"{CLAIMS}ticket": "7T:abc",
}


@given(st.integers(1_600_000_000, 2_200_000_000), st.integers(-12, 14))
def test_what_is_signed_is_good_in_its_minute_in_every_zone(instant: int, hours: int) -> None:
    now = datetime.fromtimestamp(instant, timezone(timedelta(hours=hours)))
    signed = signed_token(APP.system_token, APP.private_key, now)
    assert flaw_of_signed_token(signed, APP, now.astimezone(UTC), 0) is None
    later = (now + timedelta(minutes=1)).astimezone(UTC)
    assert flaw_of_signed_token(signed, APP, later, 0) == "The system token has expired."


@pytest.mark.parametrize(
    "changed",
    [{}, {"aud": ["spn:1801550193"]}, {f"{CLAIMS}ctx": "CUST12345"}, {"exp": str(int(NOW.timestamp()))}, {"nbf": "1"}],
)
def test_good_claims_have_no_flaw(changed: dict[str, Any]) -> None:
    assert flaw_of({**GOOD, **changed}, "Cust12345", NOW) is None


@given(st.sampled_from(list(GOOD)), st.none() | st.booleans() | st.text() | st.integers(max_value=0))
def test_every_claim_counts(name: str, value: object) -> None:
    assert flaw_of({**GOOD, name: value}, "Cust12345", NOW) or (name.endswith("ticket") and is_token(value))


@pytest.mark.parametrize(("seconds", "is_late"), [(599, False), (600, True)])
def test_five_minutes_of_skew_are_allowed(seconds: int, is_late: bool) -> None:  # noqa: FBT001 - a parameter
    assert (flaw_of(GOOD, "Cust12345", NOW + timedelta(seconds=seconds)) is not None) == is_late


@pytest.mark.parametrize(
    ("value", "until"),
    [
        ("2026-11-29T10:35:00.1234567Z", NOW + timedelta(minutes=5, microseconds=123456)),
        ("2026-11-29T12:35:00+02:00", NOW + timedelta(minutes=5)),
        ("2026-11-29T10:35:00", NOW + timedelta(minutes=5)),
        ("2027-11-29T10:35:00Z", NOW + timedelta(days=1)),
        ("soon", NOW + timedelta(minutes=5)),
        (None, NOW + timedelta(minutes=5)),
        (5, NOW + timedelta(minutes=5)),
        ("0001-01-01T00:00:00+14:00", NOW + timedelta(minutes=5)),
    ],
)
def test_how_long_a_url_is_kept(value: object, until: datetime) -> None:
    assert valid_until(value, NOW) == until


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_a_lifetime_is_at_most_a_month(value: object) -> None:
    assert timedelta() <= lifetime(value) <= timedelta(days=30)


def test_a_lifetime_may_be_text() -> None:
    assert lifetime("3600") == lifetime(3600) == timedelta(hours=1)
