"""What GFN2-xTB's orbitals say of a molecule's excitations, in a few milliseconds.

A network of local messages has to learn from few labels how far a chromophore reaches and where
charge goes. A tight-binding calculation of the whole molecule knows that already: its orbital gap
follows T1, and the lowest root of ``A = diag(e_a - e_i) + 2 K`` over frontier orbitals follows S1,
with K from Löwdin transition charges and a damped Coulomb law. This is time-dependent
tight-binding in the Tamm-Dancoff approximation (Niehaus et al., Phys. Rev. B 63, 085108 (2001);
simplified TDA: Grimme, J. Chem. Phys. 138, 244104 (2013)). The numbers are no prediction: heads
start from a linear fit to them (:mod:`molsieve.properties.linear`) and learn the rest.

Of a molecule and its copy far away the orbital energies are those of one; the root is too as far
as both copies' frontier orbitals are among the :data:`FRONTIER` ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree
from threadpoolctl import threadpool_limits
from torch import Tensor

from molsieve.potential.batches import AtomsBatch
from molsieve.section import CampaignError

DESCRIPTORS = ("homo_ev", "lumo_ev", "orbital_gap_ev", "singlet_root_ev", "sqrt_strength")
FRONTIER = 12
"""Occupied and as many empty orbitals between which electrons are excited."""
HARDNESS_HARTREE = (
    0.47259288, 0.92203391, 0.17452888, 0.25700733, 0.33949086, 0.42195412, 0.50438193, 0.58691863,
    0.66931351, 0.75191607, 0.17964105, 0.22157276, 0.26348578, 0.30539645, 0.34734014, 0.38924725,
    0.43115670,
)  # fmt: skip
"""Of H to Cl: Ghosh, Islam, Int. J. Quantum Chem. 110, 1206 (2010)."""


def orbital_descriptors(batch: AtomsBatch) -> Tensor:
    """(S, D) float64 in the order of :data:`DESCRIPTORS`; NaN where xTB does not converge.

    Molecules are shared out among torch's threads: neither tblite nor LAPACK holds Python's lock.

    Raises:
        CampaignError: an element beyond chlorine.
    """
    sizes = batch.sizes.tolist()
    numbers = [part.cpu().numpy() for part in batch.numbers.split(sizes)]
    places = [part.detach().cpu().numpy() for part in batch.positions.split(sizes)]
    unpaired = (batch.multiplicity - 1).tolist()
    check_elements(np.unique(np.concatenate(numbers)).tolist())
    # One thread a molecule: theirs times the pool's would be tens of times slower.
    with ThreadPoolExecutor(
        torch.get_num_threads(), initializer=lambda: threadpool_limits(1)
    ) as pool:
        rows = list(pool.map(_of_molecule, numbers, places, batch.charge.tolist(), unpaired))
    return torch.from_numpy(np.array(rows, dtype=np.float64).reshape(-1, len(DESCRIPTORS)))


def check_elements(numbers: Sequence[int]) -> None:
    """Whether all of these atomic numbers have a hardness.

    Raises:
        CampaignError: one has not.
    """
    beyond = [chemical_symbols[z] for z in numbers if z > len(HARDNESS_HARTREE)]
    if beyond:
        raise CampaignError(
            f"properties.descriptors: orbitals, but {', '.join(beyond)} has no hardness; allowed: "
            "H to Cl; set it to none"
        )


def _of_molecule(numbers: np.ndarray, positions: np.ndarray, charge: int, unpaired: int) -> list:
    from tblite.exceptions import TBLiteRuntimeError
    from tblite.interface import Calculator

    unknown = [np.nan] * len(DESCRIPTORS)
    if not np.isfinite(positions).all():
        return unknown
    try:
        calculator = Calculator("GFN2-xTB", numbers, positions / Bohr, charge, unpaired)
        calculator.set("verbosity", 0)
        calculator.set("save-integrals", 1)
        result = calculator.singlepoint()
    except TBLiteRuntimeError:
        return unknown
    owner = np.asarray(calculator.get("shell-map"))[np.asarray(calculator.get("orbital-map"))]
    energies = result.get("orbital-energies")
    occupied = round(float(result.get("orbital-occupations").sum()) / 2)
    if not 0 < occupied < len(energies):
        return unknown
    loewdin = _square_root(result.get("overlap-matrix")) @ result.get("orbital-coefficients")
    root, strength = lowest_singlet(energies, loewdin, owner, occupied, numbers, positions / Bohr)
    homo, lumo = energies[occupied - 1] * Hartree, energies[occupied] * Hartree
    return [homo, lumo, lumo - homo, root * Hartree, np.sqrt(strength)]


def _square_root(overlap: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(overlap)
    root: np.ndarray = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def lowest_singlet(
    energies: np.ndarray,
    loewdin: np.ndarray,
    owner: np.ndarray,
    occupied: int,
    numbers: np.ndarray,
    positions: np.ndarray,
) -> tuple[float, float]:
    """Lowest root, hartree, and its oscillator strength.

    Args:
        energies: (B,) of orbitals, hartree. loewdin: (B, B), a column an orbital, in the
            orthogonalised basis. owner: (B,) the atom of a basis function.
        occupied: doubly occupied orbitals. numbers: (N,). positions: (N, 3) bohr.
    """
    below = np.arange(max(0, occupied - FRONTIER), occupied)
    above = np.arange(occupied, min(len(energies), occupied + FRONTIER))
    products = loewdin[:, below, None] * loewdin[:, None, above]
    charges = np.zeros((len(numbers), len(below) * len(above)))
    np.add.at(charges, owner, products.reshape(len(loewdin), -1))
    gaps = (energies[None, above] - energies[below, None]).ravel()
    hubbard = 2 * np.array(HARDNESS_HARTREE)[numbers - 1]
    mean = (hubbard[:, None] + hubbard) / 2
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)
    # Ohno, Theor. Chim. Acta 2, 219 (1964); Klopman, J. Am. Chem. Soc. 86, 4550 (1964).
    coulomb = 1 / np.sqrt(apart**2 + mean**-2)
    roots, vectors = np.linalg.eigh(np.diag(gaps) + 2 * charges.T @ coulomb @ charges)
    dipole = np.sqrt(2) * (charges @ vectors[:, 0]) @ positions
    return float(roots[0]), float(2 / 3 * max(roots[0], 0.0) * dipole @ dipole)
