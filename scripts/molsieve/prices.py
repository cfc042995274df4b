"""What a unit of work costs: seconds on one core, bytes on disk. Everything here is assumed.

Floor 0, standard library and the levels' models only: every job of a campaign reads this while it
parses the rules (``jobs/resources.py``), ``molsieve plan`` adds it up (``plan/pricing.py``), and
the cost model starts from it until there are timings (``labelling/cost.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from molsieve.levels import Level, PyscfLevel

# ASSUME: one core of 2020s server hardware.
SCREEN_S = 0.003  # a candidate read, made canonical, filtered, described
CONFORMER_S = 0.05  # an ETKDG conformer with MMFF94
RELAXATION_STEPS = 40  # GFN2-xTB gradients of one relaxed conformer
TRAINING_S_PER_ATOM = 1.2e-3  # one atom, one epoch, PaiNN 64 features x 3 interactions
PROPERTY_TRAINING_S_PER_ATOM = 2e-4  # the same of property heads, which need no forces
DESCRIPTION_S_PER_ATOM_SQUARED = 7e-5  # GFN2-xTB's orbitals of one molecule, for property heads
EVALUATION_S_PER_ATOM = 4e-4  # energy and forces of one atom, one member, same size, plain torch
GPU_SPEEDUP = 40.0  # a GPU against one core, for training and evaluation
DFT_GPU_SPEEDUP = 20.0  # a GPU against one core, for gpu4pyscf
RECOVERY_SHARE = 0.1  # labels computed twice: recovery ladder, in-flight repeats

# ASSUME: bytes on disk, compressed.
CANDIDATE_BYTES, ROW_BYTES, ATOM_POSITION_BYTES = 250, 200, 25

TYPICAL_ATOMS = 30
"""ASSUME: of a molecule, where none has been looked at."""

JOB_CORES = 8
"""Cores that a packed job asks for where its work pays for them."""

KERNEL_SPEEDUP = 15.0
"""The compiled kernel of a member against plain torch, energies and forces on a CPU: measured 19 on
anthraquinone, 64 features x 3 interactions. Jobs ask their scheduler for plain torch's time, as a
node may have no compiler."""
RELAXATION_EVALUATIONS = 61
"""Of the committee, at most, before a search for distorted geometries starts from its minima."""
ATTACK_EVALUATIONS = 2.5
"""An attack's step, forces and their product with the Hessian, against energy and forces alone:
measured on anthraquinone, 64 features x 3 interactions."""

PERIODIC_XTB = 13.0
"""A cell against a molecule of as many electrons, GFN1-xTB at the Γ point: measured 16 (sodalite,
96 valence electrons, 1.2 s) and 12 (ABW, 512 valence electrons, 24 s)."""

CP2K_S, CP2K_CUTOFF_RY = 40.0, 200.0
"""PBE, DZVP-MOLOPT-SR-GTH, energy, forces and stress: measured on quartz (48 valence electrons)."""
PLANE_WAVES_S = 600.0
"""ASSUME: a plane-wave program on as many electrons."""

OPTIMISER_STEPS = 20
"""ASSUME: an optimised geometry costs this many energies with forces."""
ROOT_FACTOR = {"tda": 0.08, "tddft": 0.16}
"""An excited state against its ground state's energy and forces: measured with TDA, 6 roots,
PBE0/def2-SVP: 0.03 (12 atoms), 0.05 (21 atoms), 0.08 (33 atoms, a label of 290 core-seconds), where
the integrals of the response no longer fit in memory as one matrix and a product costs a share of
an SCF cycle that stays the same. ASSUME: of full linear response twice that."""
ROOT_ATOMS = (12, 33)
"""Atoms of the molecules that :data:`ROOT_FACTOR` was measured on: larger ones are extrapolated."""
BASIS_FACTORS = {"qz": 40.0, "tz": 6.0}
"""ASSUME: cost against a double-zeta basis, from the number of functions (about N^2.5)."""


@dataclass(frozen=True)
class PowerLaw:
    """Seconds on one core = ``prefactor_s * electrons ** exponent``."""

    prefactor_s: float
    exponent: float

    def __call__(self, electrons: float) -> float:
        return float(self.prefactor_s * max(electrons, 1) ** self.exponent)


def valence_electrons(numbers: Iterable[int]) -> int:
    """Electrons outside noble-gas cores and filled d and f shells, summed over atoms."""
    return sum(_valence(int(z)) for z in numbers)


def _valence(number: int) -> int:
    """Valence electrons of a neutral atom (main group: group number's last digit)."""
    cores = [0, 2, 10, 18, 36, 54, 86]
    filled = {28: (31, 36), 46: (49, 54), 68: (72, 80), 78: (81, 86)}
    for core, (first, last) in filled.items():
        if first <= number <= last:
            return number - core
    return number - max(core for core in cores if core < number)


def default_law(level: Level) -> PowerLaw:
    """Before there are timings: what two molecules of different size took.

    GFN2-xTB: benzoquinone (40 electrons) 0.012 s, 35 atoms (about 110) 0.087 s. B3LYP/def2-SVP with
    density fitting, grid 3, energy and gradient: benzoquinone 15 core-seconds, naphthoquinone (58)
    49. A functional without exact exchange takes a third of that and is priced as B3LYP is (its
    name alone does not tell).
    """
    if level.engine == "tblite":
        law = PowerLaw(0.012 / 40**2.0, 2.0)
    elif level.engine == "pyscf":
        factor = _basis_factor(level.basis) * _roots_factor(level)
        law = PowerLaw(factor * 15.0 / 40**3.1, 3.1)
    elif level.engine == "cp2k":
        grid = (level.cutoff_ry / CP2K_CUTOFF_RY) ** 1.5
        law = PowerLaw(_basis_factor(level.basis) * grid * CP2K_S / 48**1.3, 1.3)
    else:
        law = PowerLaw(PLANE_WAVES_S / 48**2.0, 2.0)
    steps = OPTIMISER_STEPS if level.geometry == "optimised" else 1
    return PowerLaw(steps * law.prefactor_s, law.exponent)


def _basis_factor(basis: str) -> float:
    return next((f for name, f in BASIS_FACTORS.items() if name in basis.lower()), 1.0)


def _roots_factor(level: PyscfLevel) -> float:
    """Cost with the level's excited states against the ground state alone."""
    asked = level.excitations
    if asked is None:
        return 1.0
    return 1.0 + ROOT_FACTOR[asked.method] * (asked.singlets + asked.triplets)


def periodic_factor(level: Level, periodic: bool) -> float:
    """Cost of a periodic cell against a molecule of as many electrons."""
    return PERIODIC_XTB if periodic and level.engine == "tblite" else 1.0


def width(potential: Any) -> float:
    """Cost of a member against one of 64 features and 3 interactions.

    Args:
        potential: the campaign's section.
    """
    return float((potential.features / 64) ** 1.5 * potential.interactions / 3)


def evaluation_s_per_atom(on_gpu: bool) -> float:
    """Core-seconds of energy and forces of one atom by one member of 64 features x 3 interactions,
    for a GPU before its own factor. ASSUME: a CPU's machine has a compiler for the kernel."""
    return EVALUATION_S_PER_ATOM if on_gpu else EVALUATION_S_PER_ATOM / KERNEL_SPEEDUP


def description_s(campaign: Any, molecules: float, atoms: float) -> float:
    """Core-seconds of what property heads read beside the geometry of ``molecules`` of so many
    atoms, once for all members: measured 14 ms at 13 atoms, 70 at 33, 244 at 59. 0 without heads.
    """
    settings = getattr(campaign, "properties", None)
    if settings is None or settings.descriptors == "none":
        return 0.0
    return molecules * atoms**2 * DESCRIPTION_S_PER_ATOM_SQUARED


def search_evaluations(geometries: Any, atoms: float) -> dict[str, float]:
    """Energies and forces a round's search for distorted geometries asks each member for, by source
    and for the minima they start from; every relaxation and trajectory to its last step.

    Args:
        geometries: the campaign's section ``acquisition.geometries``.
        atoms: of a species.
    """
    if not geometries.searched:
        return {}
    a_start = {
        "attack": geometries.attack.steps * ATTACK_EVALUATIONS,
        "dynamics": geometries.dynamics.steps + 1,
        "normal_modes": 6 * atoms + geometries.normal_modes.copies,
        "random": geometries.random.copies,
    }
    asked = {"minima": RELAXATION_EVALUATIONS, **{s: a_start[s] for s in geometries.searched}}
    return {name: geometries.starts * count for name, count in asked.items()}


def searches(geometries: Any, rounds: int) -> int:
    """Searches for distorted geometries in a campaign. Nobody asks for the last round's, unless it
    tells how stable the committee's dynamics is.

    Args:
        geometries: the campaign's section ``acquisition.geometries``.
    """
    if "dynamics" in geometries.searched:
        return rounds
    return rounds - 1 if geometries.searched else 0


def building_s(structures: Any, gradient_s: float) -> float:
    """Core-seconds to build one species: conformers, then GFN2-xTB relaxations of the lowest.

    Args:
        structures: the campaign's section.
        gradient_s: core-seconds of one GFN2-xTB gradient.
    """
    steps = min(RELAXATION_STEPS, structures.max_steps)
    return float(
        structures.conformers * CONFORMER_S + structures.relaxed_conformers * steps * gradient_s
    )
