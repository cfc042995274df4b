"""A finished campaign for all tests here."""

from tests.excited_campaign import excited_results  # noqa: F401 (a fixture)
from tests.finished_campaign import results  # noqa: F401 (a fixture)
