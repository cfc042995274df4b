"""Molecules of the Morse committee at its minima."""

import pytest

from tests.morse_committee import relaxed_clusters


@pytest.fixture(scope="session")
def minima():
    return relaxed_clusters()
