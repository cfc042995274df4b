"""A finished campaign for all tests here."""

from tests.finished_campaign import results  # noqa: F401 (a fixture)
