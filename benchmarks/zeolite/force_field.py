"""A force field whose unstrained geometry is the pose's own, relaxed in the fixed cell.

Framework: harmonic Si-O, O-Si-O, Si-O-Si and Si...Si (Urey-Bradley) terms about the lengths and
angles of the CIF: that framework is the empty one which DFT relaxed in this cell, so strain is
counted from there, and neither a wrong equilibrium volume nor a wrong Si-O-Si angle enters.
Guests: harmonic about the docked conformer (which DFT relaxed, too), with Dreiding's constants;
pairs four bonds apart or more do not interpenetrate.
Between them: Dreiding's contacts, exponential-6 or Lennard-Jones, and charges, TraPPE-zeo's of the
framework and the guest's of GFN1-xTB. Constants and where they come from: ``parameters.py``.
No number is fitted to published binding energies; which published forms are used (exponential-6,
Lennard-Jones; not UFF's, 0.83) was chosen by looking at the shipped poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from tblite.interface import Calculator
from torch import Tensor

from molsieve.units import ANGSTROM_PER_BOHR
from zeolite import contacts
from zeolite.pairs import LennardJones, PairEnergies, PairTable, difference_matrix
from zeolite.parameters import (
    BEND,
    DREIDING,
    EV_PER_KCAL,
    O_SI_O,
    OXYGEN_CHARGE,
    SI_O,
    SI_O_SI,
    SI_SI,
    SILICON_CHARGE,
    STRETCH,
    TORSION,
)
from zeolite.poses import SILICON, Pose
from zeolite.topology import Chains, Topology, topology

PROTOCOL = 2
"""To be raised with every change that moves a number: kept minima are then found anew."""
FORMS = contacts.FORMS
STEPS, GROWING_STEPS, FORCE_EV_PER_ANGSTROM = 200, 40, 0.005
PARTS = ("contact_host", "contact_guest", "charge_host", "charge_guest", "framework", "guest")
HOT_HARTREE = 0.01
"""Electronic kT of a second try, where a guest docked into itself has no converged charges."""


@dataclass(frozen=True)
class Minimum:
    """A relaxed pose: positions (n, 3) Å and the parts of its energy, eV a cell."""

    positions: np.ndarray
    parts: dict[str, float]

    @property
    def energy(self) -> float:
        """eV a cell, relative to the empty framework and the docked conformers far apart."""
        return sum(self.parts.values())


def guest_charges(pose: Pose) -> np.ndarray:
    """(n,) e: the framework's constants, the guests' GFN1-xTB charges as they were docked.

    A charged guest's are those of the ion less its charge, spread evenly: the cell is neutral, and
    so is the published reference.

    Raises:
        RuntimeError: no SCF converged.
    """
    charges = np.where(pose.atoms.numbers == SILICON, SILICON_CHARGE, OXYGEN_CHARGE)
    for number, index in enumerate(pose.guests):
        guest = pose.guest(number)
        try:
            charges[index] = _charges(guest, pose.charge_e)
        except RuntimeError:
            charges[index] = _charges(guest, pose.charge_e, HOT_HARTREE)
    return charges


def _charges(guest: ase.Atoms, charge_e: int, kt_hartree: float | None = None) -> np.ndarray:
    """(n,) e, their sum zero."""
    calculator = Calculator(
        "GFN1-xTB",
        guest.numbers,
        guest.positions / ANGSTROM_PER_BOHR,
        charge=float(charge_e),
        uhf=int(guest.numbers.sum() - charge_e) % 2,
    )
    calculator.set("verbosity", 0)
    if kt_hartree is not None:
        calculator.set("temperature", kt_hartree)
    return calculator.singlepoint().get("charges") - charge_e / len(guest)


class ForceField:
    """Energies of a pose's atoms wherever they move; bonds stay."""

    def __init__(self, pose: Pose, charges: np.ndarray, form: str, terms: Topology | None = None):
        """Find the terms.

        Args:
            charges: (n,) e of all atoms.
            terms: of the pose, where they are known.
            form: of contacts between framework and guests and among guests, one of FORMS.

        Raises:
            ValueError: an element without parameters.
        """
        unknown = set(pose.atoms.numbers.tolist()) - set(DREIDING)
        if unknown:
            raise ValueError(f"no Dreiding parameters for atomic numbers {sorted(unknown)}")
        self.form = form
        self.cell = torch.tensor(pose.atoms.cell.array)
        self.start = torch.tensor(pose.atoms.positions)
        self.framework = torch.tensor(pose.framework)
        self.numbers = torch.tensor(pose.atoms.numbers)
        self.scale = 1.0
        terms = terms or topology(pose)
        self.bonds, self.angles = self._group(terms.bonds), self._group(terms.angles)
        self.torsions = self._group(terms.torsions)
        self.pairs, self.inner = self._group(terms.pairs), self._group(terms.inner)
        self._set_stiffness()
        self._set_contacts(charges)
        self.lengths, self.bends = self._lengths(self.start), self._bends(self.start)
        self.spans, self.turns = self._spans(self.start), self._turns(self.start)

    def _group(self, chains: Chains) -> tuple[Tensor, Tensor, Tensor]:
        """Atoms (C, k), displacements of their cells (C, k, 3) Å, weights (C,)."""
        shift = torch.tensor(chains.images) @ self.cell
        return torch.tensor(chains.atoms), shift, torch.tensor(chains.weight)

    def _set_stiffness(self) -> None:
        middle = self.numbers[self.angles[0]][:, 1]
        self.host_bond = self.framework[self.bonds[0][:, 0]]
        self.host_angle = self.framework[self.angles[0][:, 1]]
        self.stretch = torch.where(self.host_bond, SI_O, STRETCH).double()
        host = torch.where(middle == SILICON, O_SI_O, SI_O_SI)
        self.bend = torch.where(self.host_angle, host, BEND).double()
        self.spanned = self.host_angle & (middle != SILICON)

    def _set_contacts(self, charges: np.ndarray) -> None:
        known = [DREIDING.get(z, (0.0, 0.0, 0.0)) for z in range(max(DREIDING) + 1)]
        table = torch.tensor(known, dtype=torch.float64)[self.numbers]
        near, shift, weight = (part.numpy() for part in self.pairs)
        reach, depth, zeta = table.numpy()[near].transpose(2, 0, 1)
        matrix = difference_matrix(near, len(self.start))
        self.pair_table = PairTable(
            matrix,
            csr_matrix(matrix.T),
            shift[:, 1] - shift[:, 0],
            reach.mean(1),
            np.sqrt(depth.prod(1)) * EV_PER_KCAL,
            zeta.mean(1),
            charges[near].prod(1),
            weight,
            self.framework.numpy()[near].any(1).astype(float),
        )
        inner = self.inner[0]
        # Whatever touches in the docked conformer (a hydrogen bond) is at ease there.
        docked = self._vectors(self.inner, self.start).norm(dim=1)
        self.inner_reach = torch.minimum(table[inner, 0].mean(1), docked)
        self.inner_depth = table[inner, 1].prod(1).sqrt() * EV_PER_KCAL
        self.inner_docked = self._inner_energy(self.start)

    @staticmethod
    def _places(group: tuple, x: Tensor) -> Tensor:
        # index_select, not x[...]: its gradient is several times faster.
        return x.index_select(0, group[0].ravel()).view(group[1].shape) + group[1]

    def _vectors(self, group: tuple, x: Tensor) -> Tensor:
        places = self._places(group, x)
        return places[:, 1] - places[:, 0]

    def _lengths(self, x: Tensor) -> Tensor:
        return self._vectors(self.bonds, x).norm(dim=1)

    def _bends(self, x: Tensor) -> Tensor:
        a, b, c = self._places(self.angles, x).unbind(1)
        u, v = a - b, c - b
        cosine = (u * v).sum(1) / u.norm(dim=1) / v.norm(dim=1)
        return torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))

    def _spans(self, x: Tensor) -> Tensor:
        a, _, c = self._places(self.angles, x)[self.spanned].unbind(1)
        return (a - c).norm(dim=1)

    def _turns(self, x: Tensor) -> Tensor:
        a, b, c, d = self._places(self.torsions, x).unbind(1)
        first, axis, last = b - a, c - b, d - c
        m, n = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
        across = (torch.linalg.cross(m, n) * axis).sum(1) / axis.norm(dim=1)
        return torch.atan2(across, (m * n).sum(1))

    def parts(self, x: Tensor) -> dict[str, Tensor]:
        """Energies (eV a cell) at positions ``x`` (n, 3) Å, named as in :data:`PARTS`."""
        stretch = 0.5 * self.stretch * (self._lengths(x) - self.lengths) ** 2
        bend = 0.5 * self.bend * (self._bends(x) - self.bends) ** 2
        span = 0.5 * SI_SI * (self._spans(x) - self.spans) ** 2
        turn = TORSION * self.torsions[2] * (1 - torch.cos(self._turns(x) - self.turns))
        host = stretch[self.host_bond].sum() + bend[self.host_angle].sum() + span.sum()
        guest = stretch[~self.host_bond].sum() + bend[~self.host_angle].sum() + turn.sum()
        between = PairEnergies.apply(x, self.pair_table, self.form, self.scale)
        energies = (*between.unbind(), host, guest + self._inner(x))
        return dict(zip(PARTS, energies, strict=True))

    def _inner(self, x: Tensor) -> Tensor:
        """Lennard-Jones inside a guest, zero at the docked conformer's distances."""
        return self._inner_energy(x) - self.inner_docked

    def _inner_energy(self, x: Tensor) -> Tensor:
        rho = self._vectors(self.inner, x).norm(dim=1) / self.inner_reach
        return (self.inner_depth * LennardJones.apply(rho)).sum()

    def relax(self, growing: tuple[float, ...] = ()) -> Minimum:
        """The minimum near the pose; ``growing``: contact distances that come first, as shares."""
        x = self.start.numpy().ravel()
        for scale in (*growing, 1.0):
            self.scale = scale
            steps = STEPS if scale == 1.0 else GROWING_STEPS
            options = {"maxiter": steps, "maxcor": 20, "gtol": FORCE_EV_PER_ANGSTROM}
            x = minimize(self._step, x, jac=True, method="L-BFGS-B", options=options).x
        places = torch.tensor(x.reshape(-1, 3))
        parts = {name: float(value) for name, value in self.parts(places).items()}
        return Minimum(places.numpy(), parts)

    def _step(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.tensor(flat.reshape(-1, 3), requires_grad=True)
        energy = torch.stack(list(self.parts(x).values())).sum()
        energy.backward()
        assert x.grad is not None
        return float(energy.detach()), x.grad.numpy().ravel()
