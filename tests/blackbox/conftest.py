"""Fixtures for tests against real binaries."""

import pytest

from standin import VERSIONS, Standin


@pytest.fixture(params=VERSIONS)
def standin(request):
    """A stand-in for the mail server, of each version in turn, with nothing in it but a provider."""
    with Standin(request.param) as server:
        yield server
