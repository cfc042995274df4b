"""Conformers of a molecule: seeded ETKDG, then MMFF94 (UFF where MMFF94 has no parameters)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from molsieve.units import EV_PER_KCAL_PER_MOL

MAX_FORCE_FIELD_STEPS = 2000
HESSIAN_STEP_ANGSTROM = 1e-3


class EmbeddingError(ValueError):
    """A molecule that ETKDG cannot place in space, or that no force field knows."""


@dataclass(frozen=True)
class Conformers:
    """Force-field minima of a molecule, lowest first.

    Attributes:
        molecule: hydrogens explicit; its conformers in the order found.
        order: conformer numbers by energy, ties by number.
        energies_ev: force-field energies, in ``order``.
        force_field: MMFF94 or UFF.
    """

    molecule: Chem.Mol
    order: list[int]
    energies_ev: list[float]
    force_field: str

    def atoms(self, rank: int) -> ase.Atoms:
        """The conformer of that rank (0: lowest); charge in ``info``."""
        return ase.Atoms(
            numbers=[atom.GetAtomicNum() for atom in self.molecule.GetAtoms()],
            positions=self.molecule.GetConformer(self.order[rank]).GetPositions(),
            info={"charge_e": Chem.GetFormalCharge(self.molecule), "multiplicity": 1},
        )

    def bonds(self) -> set[tuple[int, int]]:
        """Bonded pairs (i, j), i < j, of the molecular graph."""
        pairs = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in self.molecule.GetBonds()]
        return {(min(pair), max(pair)) for pair in pairs}

    def hessian_ev_per_angstrom2(self, rank: int) -> np.ndarray:
        """(3 n, 3 n) second derivatives of the force field at a conformer (central differences)."""
        positions = self.molecule.GetConformer(self.order[rank]).GetPositions().ravel()
        field = _force_field(self.molecule, self.force_field, self.order[rank])
        hessian = np.empty((positions.size, positions.size))
        for k in range(positions.size):
            gradients = []
            for sign in (1.0, -1.0):
                moved = positions.copy()
                moved[k] += sign * HESSIAN_STEP_ANGSTROM
                field.Initialize()  # or distances of the last call are used again, silently
                gradients.append(np.array(field.CalcGrad(moved.tolist())))
            hessian[k] = (gradients[0] - gradients[1]) / (2 * HESSIAN_STEP_ANGSTROM)
        return 0.5 * (hessian + hessian.T) * EV_PER_KCAL_PER_MOL


def embed_conformers(molecule: Chem.Mol, count: int, seed: int) -> Conformers:
    """``count`` ETKDGv3 conformers, minimised.

    Args:
        molecule: hydrogens implicit or explicit.
        seed: of the embedding; 0 … 2**31 - 1.

    Raises:
        EmbeddingError: no conformer could be made, or neither force field has parameters.
    """
    molecule = Chem.AddHs(molecule)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.numThreads = 1
    with rdBase.BlockLogs():
        numbers = list(rdDistGeom.EmbedMultipleConfs(molecule, count, parameters))
        if not numbers:
            parameters.useRandomCoords = True
            numbers = list(rdDistGeom.EmbedMultipleConfs(molecule, count, parameters))
        if not numbers:
            raise EmbeddingError("ETKDG found no conformer, from random coordinates neither")
    return minimised(molecule)


def minimised(molecule: Chem.Mol) -> Conformers:
    """Every conformer of a molecule (hydrogens explicit) moved to its force-field minimum.

    Raises:
        EmbeddingError: neither force field has parameters.
    """
    with rdBase.BlockLogs():
        force_field, results = _minimise(molecule)
    numbers = [conformer.GetId() for conformer in molecule.GetConformers()]
    # Rounded, so that mirror images tie and the number decides, on every machine alike.
    energies = [round(energy * EV_PER_KCAL_PER_MOL, 5) for _, energy in results]
    ranks = sorted(range(len(numbers)), key=lambda i: (energies[i], i))
    order = [numbers[i] for i in ranks]
    return Conformers(molecule, order, [energies[i] for i in ranks], force_field)


def _minimise(molecule: Chem.Mol) -> tuple[str, list[tuple[int, float]]]:
    """(force field, (unconverged, energy in kcal/mol) of each conformer), moved to minima."""
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
        return "MMFF94", rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
            molecule, numThreads=1, maxIters=MAX_FORCE_FIELD_STEPS
        )
    if rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule):
        return "UFF", rdForceFieldHelpers.UFFOptimizeMoleculeConfs(
            molecule, numThreads=1, maxIters=MAX_FORCE_FIELD_STEPS
        )
    raise EmbeddingError("neither MMFF94 nor UFF has parameters for it")


def _force_field(molecule: Chem.Mol, name: str, conformer: int):  # type: ignore[no-untyped-def]
    if name == "UFF":
        field = rdForceFieldHelpers.UFFGetMoleculeForceField(molecule, confId=conformer)
    else:
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
            molecule, properties, confId=conformer
        )
    return field
