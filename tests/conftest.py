"""Settings of all tests: one thread a process, as in the workflow, set before numpy is imported."""

import os
from collections.abc import Iterator
from unittest import mock

import hypothesis
import pytest

# No wall-clock limit: on a shared machine an example takes as long as it takes. The same examples
# on every machine.
hypothesis.settings.register_profile(
    "molsieve",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("molsieve")

for name in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{name}_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _environment_restored() -> Iterator[None]:
    """What a test's code sets in the environment, as a controller does, ends with the test."""
    with mock.patch.dict(os.environ):
        yield
