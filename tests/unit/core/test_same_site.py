"""Whether a URL that a service returns belongs to the service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.urls import is_same_site

HOME = "https://online.superoffice.com"
LABELS = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("https://online2.superoffice.com/Cust1/api", HOME),
        ("https://online.superoffice.com/Cust1/api", HOME),
        ("https://ONLINE3.SuperOffice.com:443/Cust1/api", HOME),
        ("https://a.online.superoffice.com/", HOME),
        ("https://crm.example.com:8443/api", "https://crm.example.com:8443"),
        ("http://127.0.0.1:7001/Cust1/api", "http://127.0.0.1:7000"),
        ("https://example.com/api", "https://example.com"),
        ("https://10.0.0.1/api", "https://10.0.0.1"),
    ],
)
def test_it_belongs(url: str, home: str) -> None:
    assert is_same_site(url, home)


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("http://online2.superoffice.com/Cust1/api", HOME),
        ("https://superoffice.com/api", HOME),
        ("https://online2.superoffice.com.example.com/api", HOME),
        ("https://evilsuperoffice.com/api", HOME),
        ("https://online2.superoffice.com:8443/api", HOME),
        ("https://user@online2.superoffice.com/api", HOME),
        ("https://example.com\\.superoffice.com/api", HOME),
        ("https://example.com#.superoffice.com", HOME),
        ("https://example.com?.superoffice.com", HOME),
        ("https:///api", HOME),
        ("", HOME),
        ("https://other.com/api", "https://example.com"),
        ("https://9.0.0.1/api", "https://10.0.0.1"),
        ("http://localhost:1/api", "http://127.0.0.1:1"),
        ("http://127.0.0.1:1/api", HOME),
        ("https://localhost/api", HOME),
    ],
)
def test_it_does_not_belong(url: str, home: str) -> None:
    assert not is_same_site(url, home)


@given(st.lists(LABELS, min_size=1, max_size=4), st.lists(LABELS, min_size=3, max_size=4))
def test_it_belongs_only_below_the_parent(host: list[str], home: list[str]) -> None:
    belongs = host == home or (host[-len(home) + 1 :] == home[1:] and len(host) >= len(home))
    assert is_same_site(f"https://{'.'.join(host)}/api", f"https://{'.'.join(home)}") == belongs


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert is_same_site(text, HOME) in (True, False)
