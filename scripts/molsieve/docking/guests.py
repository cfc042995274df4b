"""Guests (organic structure-directing agents): one molecule, its charge, its conformers.

Lengths in Å, energies in eV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from rdkit import Chem
from scipy.spatial.distance import pdist

from molsieve.chem.conformers import EmbeddingError, embed_conformers
from molsieve.chem.molecules import MoleculeError, canonical_smiles, parse_molecule

SAME_CONFORMER_ANGSTROM = 0.15
"""Conformers whose sorted atom-atom distances differ by less than this (root mean square) are
one; mirror images too, whose poses the framework's mirror planes would otherwise give twice."""
EMBEDDED_PER_CONFORMER = 6
MAX_AUTOMORPHISMS = 1000


class GuestError(ValueError):
    """A guest that cannot be built; the message says why."""


@dataclass(frozen=True, eq=False)
class Guest:
    """A guest molecule with rigid conformers.

    Attributes:
        smiles: canonical.
        charge_e: total charge.
        conformers: C molecules of n atoms, not periodic, mean position at the origin, lowest
            energy first (0: the guest's own relaxed geometry); ``charge_e``, ``multiplicity`` in
            ``info``.
        energies_ev: (C,), above the lowest.
        automorphisms: (A, h) int, heavy-atom orders that leave the molecular graph as it is; the
            first is the heavy atoms in their own order.
        rings: macrocycles (10 atoms or more), each its atoms in order.
        chiral: it has a stereocentre, so that its mirror image is another molecule.
    """

    smiles: str
    charge_e: int
    conformers: tuple[ase.Atoms, ...]
    energies_ev: tuple[float, ...]
    automorphisms: np.ndarray
    rings: tuple[tuple[int, ...], ...]
    chiral: bool

    @property
    def numbers(self) -> np.ndarray:
        """(n,) atomic numbers, the same in every conformer."""
        return self.conformers[0].numbers

    @property
    def coordinates(self) -> np.ndarray:
        """(C, n, 3) positions of the conformers about the origin."""
        return np.array([atoms.positions for atoms in self.conformers])

    @property
    def diameter_angstrom(self) -> float:
        """Largest distance between two atoms in any conformer; 0 for one atom."""
        return max((float(pdist(x).max()) for x in self.coordinates if len(x) > 1), default=0.0)


def make_guest(smiles: str, conformers: int = 4, seed: int = 0) -> Guest:
    """A guest with up to ``conformers`` distinct MMFF94 minima (UFF where MMFF94 has no atom type).

    More are embedded than kept (ETKDGv3, Riniker and Landrum, J. Chem. Inf. Model. 55, 2562
    (2015)), so that the lowest found is the relaxed free molecule for all that a force field knows.

    Raises:
        GuestError: not one closed-shell molecule, or no conformer could be made.
    """
    try:
        molecule = parse_molecule(smiles)
        found = embed_conformers(molecule, conformers * EMBEDDED_PER_CONFORMER, seed)
    except (MoleculeError, EmbeddingError) as error:
        raise GuestError(f"guest {smiles}: {error}") from error
    ranks = _distinct([found.atoms(rank).positions for rank in range(len(found.order))])
    ranks = ranks[:conformers]
    geometries = [found.atoms(rank) for rank in ranks]
    energies = [found.energies_ev[rank] for rank in ranks]
    return _guest(found.molecule, geometries, energies)


def guest_from_atoms(
    smiles: str, geometries: Sequence[ase.Atoms], energies_ev: Sequence[float] | None = None
) -> Guest:
    """A guest with geometries relaxed elsewhere, lowest first.

    Args:
        geometries: atoms in the order of RDKit's ``AddHs`` of the SMILES, as
            :func:`make_guest` gives them.
        energies_ev: above the lowest; zeros where None.

    Raises:
        GuestError: no geometry, or its elements are not those of the SMILES.
    """
    try:
        molecule = Chem.AddHs(parse_molecule(smiles))
    except MoleculeError as error:
        raise GuestError(f"guest {smiles}: {error}") from error
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    for atoms in geometries:
        if list(atoms.numbers) != numbers:
            raise GuestError(
                f"guest {smiles}: a geometry is {atoms.get_chemical_formula()} or in another order"
            )
    if not geometries:
        raise GuestError(f"guest {smiles}: no geometry was given")
    return _guest(molecule, geometries, energies_ev or [0.0] * len(geometries))


def _guest(
    molecule: Chem.Mol, geometries: Sequence[ase.Atoms], energies_ev: Sequence[float]
) -> Guest:
    charge = Chem.GetFormalCharge(molecule)
    rings = molecule.GetRingInfo().AtomRings()
    return Guest(
        smiles=canonical_smiles(Chem.RemoveHs(molecule)),
        charge_e=charge,
        conformers=tuple(_centred(atoms, charge) for atoms in geometries),
        energies_ev=tuple(float(energy - energies_ev[0]) for energy in energies_ev),
        automorphisms=_automorphisms(molecule),
        rings=tuple(tuple(ring) for ring in rings if len(ring) >= 10),
        chiral=bool(Chem.FindMolChiralCenters(molecule, includeUnassigned=True)),
    )


def _centred(atoms: ase.Atoms, charge_e: int) -> ase.Atoms:
    return ase.Atoms(
        numbers=atoms.numbers,
        positions=atoms.positions - atoms.positions.mean(axis=0),
        info={"charge_e": charge_e, "multiplicity": 1},
    )


def _automorphisms(molecule: Chem.Mol) -> np.ndarray:
    heavy = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum() > 1]
    if not heavy:
        return np.arange(molecule.GetNumAtoms())[None, :]
    skeleton = Chem.RemoveHs(molecule)  # keeps the order of the heavy atoms
    matches = skeleton.GetSubstructMatches(skeleton, uniquify=False, maxMatches=MAX_AUTOMORPHISMS)
    orders = np.array(sorted(set(matches) | {tuple(range(len(heavy)))}), dtype=int)
    return np.array(heavy)[orders]


def _distinct(positions: list[np.ndarray]) -> list[int]:
    """Numbers of the geometries that no earlier one equals, by their sorted distances."""
    kept: list[int] = []
    prints: list[np.ndarray] = []
    for k, geometry in enumerate(positions):
        distances = np.sort(pdist(geometry))
        if all(_rms(distances - other) > SAME_CONFORMER_ANGSTROM for other in prints):
            kept.append(k)
            prints.append(distances)
    return kept


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
