"""What is proven about a call that failed without a response."""

import ssl

from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError, SSLError


def never_sent(error: Exception) -> bool:
    """Return whether the error proves that the request did not leave."""
    reason = _reason(error)
    if isinstance(reason, SSLError):
        # Only a refused certificate surely precedes the request; TLS may also fail while the response is read.
        return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in reason.args)
    return isinstance(reason, ConnectTimeoutError | NewConnectionError | NameResolutionError)


def root_name(error: Exception) -> str:
    """Return the name of the error's root, without its text, which may quote the URL."""
    return type(_reason(error)).__name__


def _reason(error: Exception) -> BaseException:
    cause = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return cause.reason or cause if isinstance(cause, MaxRetryError) else cause
