"""What tests build is built by one of those that test side by side; the others wait for it."""

import contextlib
import fcntl

from standin import ROOT


@contextlib.contextmanager
def alone(name):
    """Nobody else is in here who builds the same."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
