"""Fixtures for tests against real binaries."""

import re
import time

import pytest

import tls_socket  # noqa: F401, for all tests
from gate import Gate
from standin import VERSIONS, Standin


def pytest_collection_modifyitems(items):
    """Processes that test side by side collect for themselves, and must come to the same names."""
    year = time.gmtime().tm_year
    now = re.compile(rf"({year - 1}|{year}|{year + 1})-\d\d-\d\dT")
    if changing := [item.nodeid for item in items if now.search(item.nodeid)]:
        raise pytest.UsageError(f"give ids to tests whose names change with the time: {changing}")


@pytest.fixture(params=VERSIONS)
def standin(request):
    """A stand-in for the mail server, of each version in turn, with but a provider in it."""
    with Standin(request.param) as server:
        yield server


@pytest.fixture
def gate(standin):
    """The gate in its default settings."""
    with Gate(standin.port) as gate:
        yield gate
