"""For what a test cannot be told: it looks again and again."""

import time


def wait_until(condition, seconds=10):
    for _ in range(seconds * 100):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"it did not come to that within {seconds} s")
