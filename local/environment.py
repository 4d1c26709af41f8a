"""The project's own virtual environment: made once, and again when the requirements change. Standard library only."""

import hashlib
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_HOME = ROOT / ".venv"
_STAMP = _HOME / "requirements.sha256"
_NEEDED = (3, 13)


def is_ours() -> bool:
    """Tell whether this process runs in the project's environment, and that is up to date."""
    return Path(sys.prefix).resolve() == _HOME.resolve() and _is_fresh()


def run(arguments: list[str]) -> int:
    """Make the environment where needed, run its Python with `arguments`, and return the exit code."""
    if sys.version_info[:2] != _NEEDED:
        found = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(f"Nightshift needs Python 3.13; this is {found} ({sys.executable}).", file=sys.stderr)
        return 2
    if not _is_fresh() and not _make():
        print("The requirements can't be installed: see above.", file=sys.stderr)
        return 1
    command = [str(_python()), *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=variables()) as child:  # noqa: S603 - our own interpreter
        # Whoever asks this process to end means the child.
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        return _ended(child)


def variables() -> dict[str, str]:
    """Return the environment of what is started here: compiled code is kept, and in a folder of its own.

    Demo and tests start many processes; each would compile the app again.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(ROOT / ".local" / "pycache")}


def _ended(child: "subprocess.Popen[bytes]") -> int:
    while True:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches the child as well, which ends by itself; its exit code is the answer.
            continue
        # As shells tell of what a signal has ended.
        return code if code >= 0 else 128 - code


def _python() -> Path:
    return _HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _digest() -> str:
    texts = [(ROOT / name).read_bytes() for name in ("requirements.txt", "requirements-dev.txt")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _is_fresh() -> bool:
    return _STAMP.is_file() and _STAMP.read_text(encoding="utf-8") == _digest()


def _make() -> bool:
    print("Setting up .venv (once) ...", file=sys.stderr, flush=True)
    if not _python().is_file():
        venv.create(_HOME, with_pip=True)
    command = [str(_python()), "-m", "pip", "install", "--quiet", "--requirement", "requirements-dev.txt"]
    if subprocess.call(command, cwd=ROOT) != 0:  # noqa: S603 - our own interpreter
        return False
    _STAMP.write_text(_digest(), encoding="utf-8")
    return True
