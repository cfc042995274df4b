import numpy as np
import pytest
from rdkit import Chem

from molsieve.docking.guests import GuestError, guest_from_atoms, make_guest
from molsieve.docking.neutral import neutral_analogue

TMADA = "C[N+](C)(C)C12CC3CC(CC(C3)C1)C2"


def test_quaternary_ammonium_keeps_its_charge():
    guest = make_guest(TMADA, conformers=1)
    assert guest.charge_e == 1
    assert guest.conformers[0].info == {"charge_e": 1, "multiplicity": 1}
    assert guest.conformers[0].get_chemical_formula() == "C13H24N"
    assert not guest.chiral


def test_conformers_are_distinct_centred_and_sorted():
    guest = make_guest("NCCN", conformers=3, seed=1)
    assert len(guest.conformers) > 1
    assert guest.energies_ev[0] == 0
    assert list(guest.energies_ev) == sorted(guest.energies_ev)
    for atoms in guest.conformers:
        np.testing.assert_allclose(atoms.positions.mean(axis=0), 0, atol=1e-12)
        assert not atoms.pbc.any()


def test_same_seed_same_conformers():
    first, second = make_guest("CCCN", seed=5), make_guest("CCCN", seed=5)
    np.testing.assert_array_equal(first.coordinates, second.coordinates)


def test_diameter_is_the_largest_distance():
    guest = make_guest("C", conformers=1)
    np.testing.assert_allclose(guest.diameter_angstrom, 1.09 * np.sqrt(8 / 3), atol=0.02)


def test_automorphisms_permute_like_atoms():
    guest = make_guest("C1CN2CCN1CC2", conformers=1)
    assert len(guest.automorphisms) == 12  # D3h
    assert np.all(guest.numbers[guest.automorphisms] == guest.numbers[guest.automorphisms[0]])


def test_stereocentres_and_macrocycles_are_seen():
    assert make_guest("C[C@H](N)CC", conformers=1).chiral
    rings = make_guest("C1COCCOCCOCCO1", conformers=1).rings
    assert [len(ring) for ring in rings] == [12]


def test_geometries_relaxed_elsewhere():
    built = make_guest("CCO", conformers=1)
    moved = built.conformers[0].copy()
    moved.positions += 3.0
    guest = guest_from_atoms("CCO", [moved])
    np.testing.assert_allclose(guest.coordinates, built.coordinates, atol=1e-9)
    with pytest.raises(GuestError, match="C2H6O"):
        guest_from_atoms("CCN", [moved])


@pytest.mark.parametrize("smiles", ["C1CC", "C.C", "[CH3]"])
def test_what_is_no_guest_is_refused(smiles):
    with pytest.raises(GuestError, match="guest"):
        make_guest(smiles)


@pytest.mark.parametrize(
    ("charged", "neutral"),
    [
        ("CCN", "CCN"),
        ("C[NH3+]", "CN"),
        ("C[N+](C)(C)C", "CC(C)(C)C"),
        (TMADA, "CC(C)(C)C12CC3CC(CC(C3)C1)C2"),
        ("C[n+]1ccccc1", "Cc1ccccc1"),
        ("Cn1cc[n+](C)c1", "Cc1ccn(C)c1"),
        ("C[P+](C)(C)C", "C[Si](C)(C)C"),
        ("CC(=O)[O-]", "CC(=O)O"),
        ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),
        ("C[N+](=O)[O-]", "C[N+](=O)[O-]"),
        ("C[N+](C)(C)CC[NH+](C)C", "CN(C)CCC(C)(C)C"),
    ],
)
def test_neutral_analogues(charged, neutral):
    assert neutral_analogue(charged) == Chem.CanonSmiles(neutral)


def test_isoelectronic_exchange_keeps_the_electrons():
    def electrons(smiles):
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        nuclear = sum(atom.GetAtomicNum() for atom in molecule.GetAtoms())
        return nuclear - Chem.GetFormalCharge(molecule)

    assert electrons(neutral_analogue(TMADA)) == electrons(TMADA)


@pytest.mark.parametrize("smiles", ["[Na+]", "C[N", "[Ca+2]"])
def test_no_analogue_is_said(smiles):
    with pytest.raises(GuestError, match="guest"):
        neutral_analogue(smiles)
