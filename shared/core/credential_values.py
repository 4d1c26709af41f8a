"""The values of credentials in settings, keys and certificates aside. No error text quotes a value."""

import re
import ssl
from pathlib import Path


def check_basic(value: str) -> None:
    """Refuse control characters in a user name or password (RFC 7617, 2), and bytes that are not UTF-8.

    Raises:
        ValueError: it has some.
    """
    # Python reads such bytes as surrogates; the encoder's error would quote the whole password.
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError("must be text in UTF-8 without control characters, such as a line break")


def check_token(value: str) -> None:
    """Refuse a token that cannot stand in a header.

    Raises:
        ValueError: it has other characters than visible ASCII.
    """
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError("must be visible ASCII characters without spaces: the token alone, without `Bearer`")


def check_api_key(value: str) -> None:
    """Refuse a part of an API key that cannot stand in a header of its own.

    Raises:
        ValueError: it has other characters than visible ASCII.
    """
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError("must be visible ASCII characters without spaces")


def check_system_token(value: str) -> None:
    """Refuse what is no system token, which begins with the app's name and so may have spaces inside.

    Raises:
        ValueError: it has other characters than ASCII, or spaces around it.
    """
    if value != value.strip() or not re.fullmatch(r"[\x20-\x7e]*", value):
        raise ValueError("must be printable ASCII characters without spaces around it")


def check_ca_file(value: str) -> None:
    """Refuse what is no file of certificates.

    Raises:
        ValueError: it is none.
    """
    if not Path(value).is_file():
        raise ValueError("is not a file")
    try:
        ssl.create_default_context(cafile=value)
    except (ssl.SSLError, OSError):
        raise ValueError("is no file of certificates in PEM") from None
