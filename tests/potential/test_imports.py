import subprocess
import sys

import pytest

LEAN = """
import sys
import molsieve.potential.training
heavy = {"pytorch_lightning", "sympy", "torch._dynamo", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""

FULL_AFTER_LEAN = """
from molsieve.potential import schnetpack_import
schnetpack_import.allow_full_import()
import schnetpack
assert schnetpack.task and schnetpack.properties and schnetpack.nn.so3
assert schnetpack.representation.PaiNN and schnetpack.representation.SO3net
assert schnetpack_import.blocks.PaiNN.__module__ == "schnetpack.representation.painn"
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_training_imports_no_more_than_the_network():
    result = run(LEAN)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_whole_of_schnetpack_still_imports_afterwards():
    result = run(FULL_AFTER_LEAN)
    assert result.returncode == 0, result.stderr
