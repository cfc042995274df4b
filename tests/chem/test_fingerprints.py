"""Packed fingerprints unpack to RDKit's own bits."""

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem

from molsieve.chem.fingerprints import BITS, morgan_fingerprint, unpack_fingerprints


def test_bits_are_those_of_rdkits_older_interface():
    molecules = [Chem.MolFromSmiles(s) for s in ("O=C1C=CC(=O)C=C1", "COc1ccccc1", "C")]
    packed = [morgan_fingerprint(molecule) for molecule in molecules]
    assert all(len(entry) == BITS // 8 for entry in packed)
    for molecule, row in zip(molecules, unpack_fingerprints(packed), strict=True):
        bits = AllChem.GetMorganFingerprintAsBitVect(molecule, 2, nBits=BITS)
        assert sorted(bits.GetOnBits()) == np.flatnonzero(row).tolist()


def test_no_fingerprints_are_an_empty_array():
    assert unpack_fingerprints([]).shape == (0, BITS)
