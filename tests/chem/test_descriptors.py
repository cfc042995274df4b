"""Solubility and synthetic accessibility against measured and published values."""

import pytest
from rdkit import Chem

from molsieve.chem import descriptors


@pytest.mark.parametrize(
    ("smiles", "measured"),
    [("CC(=O)Oc1ccccc1C(=O)O", -1.72), ("c1ccc2ccccc2c1", -3.60), ("c1ccccc1", -1.64)],
)
def test_solubility_is_within_esols_error_of_measurement(smiles, measured):
    # Measured values of Delaney's own set; 0.75 is the paper's standard error.
    assert descriptors.log_solubility(Chem.MolFromSmiles(smiles)) == pytest.approx(
        measured, abs=0.75
    )


def test_solubility_term_by_term():
    # Benzene: Crippen logP 1.6866, 78.11 dalton, no rotor, all aromatic.
    expected = 0.16 - 0.63 * 1.6866 - 0.0062 * 78.114 - 0.74
    assert descriptors.log_solubility(Chem.MolFromSmiles("c1ccccc1")) == pytest.approx(
        expected, abs=1e-3
    )


def test_accessibility_of_aspirin_and_of_a_hard_molecule():
    aspirin = descriptors.sa_score(Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O"))
    prismane_like = descriptors.sa_score(Chem.MolFromSmiles("C1C2C3C4C1C5C2C3C45"))
    assert aspirin == pytest.approx(1.58, abs=0.01)
    assert prismane_like > 4


def test_synthesizability_spans_one_to_zero():
    assert descriptors.synthesizability(1.0) == 1.0
    assert descriptors.synthesizability(10.0) == 0.0
