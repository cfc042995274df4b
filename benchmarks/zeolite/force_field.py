"""A force field whose unstrained geometry is the pose's own, relaxed in the fixed cell.

Framework: harmonic Si-O, O-Si-O, Si-O-Si and Si...Si (Urey-Bradley) terms with the constants of
Nicholas, Hopfinger, Trouw, Iton, J. Am. Chem. Soc. 113, 4792 (1991), about the lengths and angles
of the CIF: that framework is the empty one which DFT relaxed in this cell, so strain is counted
from there, and neither a wrong equilibrium volume nor a wrong Si-O-Si angle enters.
Guests: harmonic about the docked conformer (which DFT relaxed, too), round constants of Dreiding's
size; pairs four bonds apart or more do not interpenetrate.
Between them: Dreiding's contacts, exponential-6 or Lennard-Jones (Mayo, Olafson, Goddard, J. Phys.
Chem. 94, 8897 (1990)), and charges, Si +1.5 and O -0.75 e (Bai, Tsapatsis, Siepmann, J. Phys.
Chem. C 117, 24375 (2013)), the guest's those of GFN1-xTB, by the damped shifted force of Fennell,
Gezelter, J. Chem. Phys. 124, 234104 (2006). No number is fitted to published binding energies;
which published forms are used (exponential-6, Lennard-Jones; not UFF's, 0.83) was chosen by looking
at the shipped poses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from tblite.interface import Calculator
from torch import Tensor

from molsieve.units import ANGSTROM_PER_BOHR, EV_PER_HARTREE
from zeolite.poses import Pose
from zeolite.topology import Chains, topology

PROTOCOL = 1
"""To be raised with every change that moves a number: kept minima are then found anew."""
EV_PER_KCAL = 0.0433641
DREIDING = {
    1: (3.195, 0.0152),
    6: (3.8983, 0.0951),
    7: (3.6621, 0.0774),
    8: (3.4046, 0.0957),
    9: (3.4720, 0.0725),
    14: (4.27, 0.31),
    15: (4.15, 0.32),
    16: (4.03, 0.344),
    17: (3.9503, 0.2833),
}
"""Distance of the minimum (Å) and depth (kcal/mol) by atomic number."""
ZETA = 12.0
SI_O, O_SI_O, SI_O_SI, SI_SI = 25.9, 5.99, 0.47, 2.37
"""Force constants, eV/Å², eV/rad²."""
STRETCH_H, STRETCH, BEND_H, BEND, TORSION = 30.0, 35.0, 2.2, 4.0, 0.35
"""Of guests: with hydrogen and without; a torsion's 1 - cos(φ - φ0) in eV a bond."""
SILICON_CHARGE, OXYGEN_CHARGE = 1.5, -0.75
CUTOFF_ANGSTROM, DAMPING_PER_ANGSTROM = 9.0, 0.2
EXPONENTIAL_EDGE, LENNARD_JONES_EDGE = 0.5, 0.6
"""Shares of the minimum's distance below which a repulsion goes on as a straight line."""
FORMS = ("exp6", "lennard_jones")
CLOSEST_CHARGES_ANGSTROM = 0.8
STEPS, GROWING_STEPS, FORCE_EV_PER_ANGSTROM = 200, 40, 0.005
PARTS = ("contact_host", "contact_guest", "charge_host", "charge_guest", "framework", "guest")


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
    """(n,) e: the framework's constants, the guests' GFN1-xTB charges as they were docked."""
    charges = np.where(pose.atoms.numbers == 14, SILICON_CHARGE, OXYGEN_CHARGE)
    for number, index in enumerate(pose.guests):
        guest = pose.guest(number)
        calculator = Calculator("GFN1-xTB", guest.numbers, guest.positions / ANGSTROM_PER_BOHR)
        calculator.set("verbosity", 0)
        charges[index] = calculator.singlepoint().get("charges")
    return charges


class ForceField:
    """Energies of a pose's atoms wherever they move; bonds stay."""

    def __init__(self, pose: Pose, charges: np.ndarray, form: str):
        """Find the terms.

        Args:
            charges: (n,) e of all atoms.
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
        terms = topology(pose)
        self.bonds, self.angles = self._group(terms.bonds), self._group(terms.angles)
        self.torsions = self._group(terms.torsions)
        self.pairs, self.inner = self._group(terms.pairs), self._group(terms.inner)
        self._set_stiffness()
        self._set_contacts(torch.tensor(charges))
        self.lengths, self.bends = self._lengths(self.start), self._bends(self.start)
        self.spans, self.turns = self._spans(self.start), self._turns(self.start)

    def _group(self, chains: Chains) -> tuple[Tensor, Tensor, Tensor]:
        """Atoms (C, k), displacements of their cells (C, k, 3) Å, weights (C,)."""
        shift = torch.tensor(chains.images) @ self.cell
        return torch.tensor(chains.atoms), shift, torch.tensor(chains.weight)

    def _set_stiffness(self) -> None:
        ends, middle = self.numbers[self.bonds[0]], self.numbers[self.angles[0]]
        of_host = self.framework[self.bonds[0][:, 0]]
        guest = torch.where((ends == 1).any(1), STRETCH_H, STRETCH)
        self.stretch = torch.where(of_host, SI_O, guest).double()
        self.host_bond, self.host_angle = of_host, self.framework[self.angles[0][:, 1]]
        host = torch.where(middle[:, 1] == 14, O_SI_O, SI_O_SI)
        guest = torch.where((middle[:, [0, 2]] == 1).any(1), BEND_H, BEND)
        self.bend = torch.where(self.host_angle, host, guest).double()
        self.spanned = self.host_angle & (middle[:, 1] == 8)

    def _set_contacts(self, charges: Tensor) -> None:
        known = [DREIDING.get(z, (0.0, 0.0)) for z in range(max(DREIDING) + 1)]
        table = torch.tensor(known, dtype=torch.float64)[self.numbers]
        near = self.pairs[0]
        self.reach = table[near, 0].mean(1)
        self.depth = table[near, 1].prod(1).sqrt() * EV_PER_KCAL
        coulomb = EV_PER_HARTREE * ANGSTROM_PER_BOHR
        self.product = charges[near].prod(1) * coulomb
        self.with_host = self.framework[near].any(1)
        inner = self.inner[0]
        # Whatever touches in the docked conformer (a hydrogen bond) is at ease there.
        self.inner_reach = torch.minimum(
            table[inner, 0].mean(1), self._vectors(self.inner, self.start).norm(dim=1)
        )
        self.inner_depth = table[inner, 1].prod(1).sqrt() * EV_PER_KCAL

    @staticmethod
    def _places(group: tuple, x: Tensor) -> Tensor:
        return x[group[0]] + group[1]

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
        distance = self._vectors(self.pairs, x).norm(dim=1)
        inside = torch.where(distance < CUTOFF_ANGSTROM, self.pairs[2], 0.0)
        contact, charge = self._contact(distance) * inside, self._charge(distance) * inside
        stretch = 0.5 * self.stretch * (self._lengths(x) - self.lengths) ** 2
        bend = 0.5 * self.bend * (self._bends(x) - self.bends) ** 2
        span = 0.5 * SI_SI * (self._spans(x) - self.spans) ** 2
        turn = TORSION * self.torsions[2] * (1 - torch.cos(self._turns(x) - self.turns))
        host = stretch[self.host_bond].sum() + bend[self.host_angle].sum() + span.sum()
        guest = stretch[~self.host_bond].sum() + bend[~self.host_angle].sum() + turn.sum()
        energies = (
            contact[self.with_host].sum(),
            contact[~self.with_host].sum(),
            charge[self.with_host].sum(),
            charge[~self.with_host].sum(),
            host,
            guest + self._inner(x),
        )
        return dict(zip(PARTS, energies, strict=True))

    def _contact(self, distance: Tensor) -> Tensor:
        rho = distance / (self.reach * self.scale)
        return self.depth * (_exponential_6(rho) if self.form == "exp6" else _lennard_jones(rho))

    def _charge(self, distance: Tensor) -> Tensor:
        """Damped shifted force: energy and force are zero at the cut-off."""
        r = distance.clamp(min=CLOSEST_CHARGES_ANGSTROM)
        alpha, end = DAMPING_PER_ANGSTROM, CUTOFF_ANGSTROM
        shift = math.erfc(alpha * end) / end
        tail = 2 * alpha / math.pi**0.5 * math.exp(-((alpha * end) ** 2)) / end
        slope = shift / end + tail
        return self.product * (torch.erfc(alpha * r) / r - shift + slope * (r - end))

    def _inner(self, x: Tensor) -> Tensor:
        """Lennard-Jones inside a guest, zero at the docked conformer's distances."""
        distance = self._vectors(self.inner, x).norm(dim=1)
        docked = self._vectors(self.inner, self.start).norm(dim=1)
        change = _lennard_jones(distance / self.inner_reach) - _lennard_jones(
            docked / self.inner_reach
        )
        return (self.inner_depth * change).sum()

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


def _exponential_6(rho: Tensor) -> Tensor:
    """Of distances over the minimum's, in units of the depth. Below half the minimum's distance,
    where it would fall, it goes on as a straight line."""
    a, b, edge = 6 / (ZETA - 6), ZETA / (ZETA - 6), EXPONENTIAL_EDGE
    top = a * math.exp(ZETA * (1 - edge)) - b * edge**-6
    slope = 6 * b * edge**-7 - a * ZETA * math.exp(ZETA * (1 - edge))
    outside = a * torch.exp(ZETA * (1 - rho)) - b * rho**-6
    return torch.where(rho < edge, top + slope * (rho - edge), outside)


def _lennard_jones(rho: Tensor) -> Tensor:
    """As :func:`_exponential_6`; a straight line further in, where a start's overlap would make
    steps useless."""
    edge = LENNARD_JONES_EDGE
    sixth = rho.clamp(min=edge) ** -6
    slope = -12 * (edge**-13 - edge**-7)
    return sixth * sixth - 2 * sixth + torch.where(rho < edge, slope * (rho - edge), 0.0)
