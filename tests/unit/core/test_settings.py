"""The app's settings: names in capitals, defaults that work, and mistakes that are named without their value."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from shared.core.problems import NotReady
from shared.core.settings import Settings, app_settings
from shared.storage.app import app_store

SECRET = "hunter2-of-the-app"


def test_without_any_setting_there_are_defaults() -> None:
    settings = Settings.read({})
    assert settings == Settings()
    assert (settings.store, settings.store_container, settings.public_url) == ("blob", "nightshift", "")
    assert (settings.max_body, settings.wait_seconds, settings.result_retention_hours) == (20 * 2**20, 30, 24)
    assert settings.auth_roles == "off"


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_an_empty_text_counts_as_absent() -> None:
    assert Settings.read({name.upper(): "" for name in Settings.model_fields}) == Settings()


def test_names_are_in_capitals_and_others_are_let_be() -> None:
    assert Settings.read({"store": "sqlite", "PATH": "/bin", "TARGETS__FO__URL": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("STORE", "sqlite", "sqlite"),
        ("MAX_BODY", "1", 1),
        ("WAIT_SECONDS", "0", 0),
        ("WAIT_SECONDS", "100", 100),
        ("RESULT_RETENTION_HOURS", "1", 1),
        ("AUTH_ROLES", "on", "on"),
        ("AUTH_ROLES", "off", "off"),
        ("PUBLIC_URL", "https://nightshift.example.com", "https://nightshift.example.com"),
    ],
)
def test_a_setting_is_read_as_what_it_is(name: str, text: str, value: object) -> None:
    assert getattr(Settings.read({name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("STORE", SECRET),
        ("MAX_BODY", "0"),
        ("MAX_BODY", SECRET),
        ("WAIT_SECONDS", "-1"),
        ("WAIT_SECONDS", "101"),
        ("WAIT_SECONDS", SECRET),
        ("RESULT_RETENTION_HOURS", "0"),
        ("RESULT_RETENTION_HOURS", SECRET),
        ("AUTH_ROLES", SECRET),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(name: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.read({name: text})
    assert [mistake["loc"] for mistake in caught.value.errors()] == [(name.lower(),)]
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError):
        Settings().wait_seconds = 1  # type: ignore[misc] # that is the test


@pytest.fixture
def unread() -> Iterator[None]:
    app_settings.cache_clear()
    yield
    app_settings.cache_clear()


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[
            ("STORE", SECRET),
            ("MAX_BODY", "1e400"),
            ("MAX_BODY", "9" * 5000),
            ("WAIT_SECONDS", "NaN"),
            ("PLAN_TTL", "0"),
        ],
        *[
            ("GIVE_UP_MINUTES", "1441"),
            ("SWEEP_MODE", SECRET),
            ("SWEEP_CAP", "10001"),
            ("AUTH_ROLES", SECRET),
        ],
        *[
            ("SWEEP_AT", "25:00"),
            ("SWEEP_AT", ","),
            ("SWEEP_UNTIL", "06:00,07:00"),
            ("SWEEP_UNTIL", " "),
        ],
        *[
            ("SWEEP_TIME_ZONE", text)
            for text in ("Mars/Olympus", "Europe", "/etc/passwd", "../UTC", "Europe/", " ", "é", "zone.tab")
        ],
    ],
)
def test_a_wrong_setting_is_not_ready_and_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(NotReady, match=name) as caught:
        app_settings()
    assert SECRET not in str(caught.value) + caught.value.answer().body.decode()


@pytest.mark.usefixtures("unread")
def test_all_wrong_settings_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", SECRET)
    monkeypatch.setenv("PLAN_TTL", "x")
    with pytest.raises(NotReady, match=r"STORE: .*; PLAN_TTL: "):
        app_settings()


def test_a_night_is_when_the_settings_say() -> None:
    told = Settings.read(
        {"SWEEP_AT": "04:30,02:00", "SWEEP_UNTIL": "05:00", "SWEEP_TIME_ZONE": "Europe/Berlin"}
    ).schedule
    assert ([f"{at:%H:%M}" for at in told.at], f"{told.until:%H:%M}") == (["02:00", "04:30"], "05:00")
    assert str(told.zone) == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # G1: every number has bounds.
        ("RESULT_RETENTION_HOURS", "87600000"),
        ("MAX_BODY", "99999999999"),
        # G3
        *(
            ("PUBLIC_URL", text)
            for text in (
                "nightshift.example.com",
                "https://a\r\nb",
                "https://user@nightshift.example.com",
                "https://é.example",
                "https://a..b",
                "ftp://a.example",
                "https://a.example?x=1",
            )
        ),
        # G4: the one that is wrong is named.
        ("SWEEP_AT", "25:00"),
        ("SWEEP_AT", "02:00,"),
        ("SWEEP_UNTIL", "6"),
        ("SWEEP_TIME_ZONE", "Europe/Nowhere"),
        # G5
        ("STORE_CONTAINER", "A_B"),
        ("STORE_CONTAINER", "a--b"),
        ("STORE_CONTAINER", "ab"),
        ("STORE_CONTAINER", "a-b" * 22),
    ],
)
def test_g1_g3_g4_g5_a_wrong_setting_is_named_alone(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    app_settings.cache_clear()
    try:
        with pytest.raises(NotReady) as caught:
            app_settings()
    finally:
        monkeypatch.undo()
        app_settings.cache_clear()
    assert caught.value.detail.count(f"{name}:") == 1
    others = {other.upper() for other in Settings.model_fields} - {name}
    assert not [other for other in others if f"{other}:" in caught.value.detail]
    assert text not in caught.value.detail


def test_g4_a_time_may_have_one_digit_for_its_hour() -> None:
    assert (
        Settings.read({"SWEEP_AT": "2:00,4:30", "SWEEP_UNTIL": "6:00"}).schedule
        == Settings.read({"SWEEP_AT": "02:00,04:30", "SWEEP_UNTIL": "06:00"}).schedule
    )


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    ("roles", "sign_in", "said"),
    [
        ("off", "", None),
        ("off", "False", None),
        ("on", "True", None),
        ("on", "true", None),
        ("on", "", "AUTH_ROLES is on"),
        ("on", "False", "AUTH_ROLES is on"),
        ("on", "1", "AUTH_ROLES is on"),
        ("off", "True", "AUTH_ROLES is off"),
        ("", "true", "AUTH_ROLES is off"),
    ],
)
def test_roles_and_sign_in_go_together(
    monkeypatch: pytest.MonkeyPatch, roles: str, sign_in: str, said: str | None
) -> None:
    monkeypatch.setenv("AUTH_ROLES", roles)
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", sign_in)
    if said is None:
        assert app_settings().auth_roles == roles
    else:
        # The store is not opened either, so no activity can read what to send.
        for look in (app_settings, app_store.__wrapped__):
            with pytest.raises(NotReady, match=said):
                look()
