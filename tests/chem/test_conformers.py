"""Seeded conformers and the force field's Hessian."""

import numpy as np
import pytest
from rdkit import Chem

from molsieve.chem.conformers import EmbeddingError, embed_conformers


def embed(smiles, count=3, seed=7):
    return embed_conformers(Chem.MolFromSmiles(smiles), count, seed)


def test_the_same_seed_gives_the_same_conformers_and_another_does_not():
    first, again, other = embed("CCOCCO"), embed("CCOCCO"), embed("CCOCCO", seed=8)
    assert np.array_equal(first.atoms(0).positions, again.atoms(0).positions)
    assert not np.allclose(first.atoms(0).positions, other.atoms(0).positions)


def test_lowest_first_and_at_minima():
    found = embed("CCCCO", count=6)
    assert found.energies_ev == sorted(found.energies_ev)
    assert found.force_field == "MMFF94"
    values = np.linalg.eigvalsh(found.hessian_ev_per_angstrom2(0))
    assert values[0] > -1e-2  # a minimum, but for six rigid modes of zero
    assert np.sum(np.abs(values) < 1e-2) == 6
    assert 30 < values[-1] < 300  # C-H and O-H stretches


def test_moving_all_atoms_together_costs_nothing():
    # RDKit's force field remembers distances between calls unless told to forget them, and the
    # Hessian then breaks this rule.
    found = embed("O=C1C=CC(=O)C=C1", count=1)
    hessian = found.hessian_ev_per_angstrom2(0)
    assert np.array_equal(hessian, hessian.T)
    assert np.allclose(hessian.reshape(12, 3, 12, 3).sum(axis=2), 0, atol=1e-2)


def test_uff_steps_in_where_mmff94_has_no_parameters():
    assert embed("O=C1C=CC(=O)C(B(O)O)=C1").force_field == "UFF"


def test_charge_and_bonds_come_from_the_graph():
    found = embed("C[NH3+]")
    assert found.atoms(0).info == {"charge_e": 1, "multiplicity": 1}
    assert len(found.bonds()) == 7 and all(i < j for i, j in found.bonds())


def test_a_molecule_that_fits_in_no_space_is_an_embedding_error():
    with pytest.raises(EmbeddingError, match="no conformer"):
        embed("O=C1C2=CC(=O)C(=C1)CC2")
