"""Fixtures for tests against real binaries."""

import pytest

from gate import Gate
from standin import VERSIONS, Standin


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
