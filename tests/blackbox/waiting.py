"""For what a test cannot be told: it looks again and again."""

import time

PATIENCE = 60  # seconds until a test that waits for ever is given up


def wait_until(condition):
    """What the condition comes to, once that is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come to that within {PATIENCE} s"
        time.sleep(0.01)
    return found
