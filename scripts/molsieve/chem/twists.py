"""Twists about the single bonds between conjugated parts of a molecule, explored.

Two flat parts that are bound by a single bond stand at an angle; ±θ and 180° ± θ are four wells of
which symmetry makes some equal. ETKDG draws them at random, and of a donor, a bridge and an
acceptor it may miss some: here every combination of wells has a start of its own.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from molsieve.chem.conformers import Conformers, minimised
from molsieve.chem.duplicates import distance_fingerprint

START_DEGREES = 45.0
"""Between flat (0°) and upright (90°): the force field goes to whichever well is there."""
SAME_ANGSTROM = 0.1
"""Two minima are the same when their sorted distances differ by less (root mean square)."""
SAME_EV = 0.02
"""And their energies by less."""


@dataclass(frozen=True)
class Twist:
    """A bond to turn about: four atoms whose dihedral it is, and the wells that differ, degrees."""

    atoms: tuple[int, int, int, int]
    starts_degrees: tuple[float, ...]


def twists(molecule: Chem.Mol) -> list[Twist]:
    """Single bonds outside rings between two planar (sp²) atoms, the most central first.

    Neither atom is an oxygen or a sulphur (a methoxy group's turn is not one of fragments). A
    bond's wells are ±45° where one of its sides looks the same after half a turn, and ±135° too
    where none does.
    """
    ranks = list(Chem.CanonicalRankAtoms(molecule, breakTies=False))
    found = []
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.GetBondType() != Chem.BondType.SINGLE or bond.IsInRing():
            continue
        if not all(_turns(atom) for atom in ends):
            continue
        sides = [_others(atom, bond) for atom in ends]
        twofold = any(len({ranks[i] for i in side}) < len(side) for side in sides)
        quadrants = (1.0, -1.0) if twofold else (1.0, -1.0, 3.0, -3.0)
        twist = Twist(
            (sides[0][0], ends[0].GetIdx(), ends[1].GetIdx(), sides[1][0]),
            tuple(START_DEGREES * q for q in quadrants),
        )
        found.append((-_smaller_part(molecule, bond), bond.GetIdx(), twist))
    return [twist for *_, twist in sorted(found, key=lambda entry: entry[:2])]


def starts(found: list[Twist], most: int, seed: int) -> list[tuple[float, ...]]:
    """Angles of every combination of wells, one of each mirror pair; of more some are drawn."""
    if not found or not most:
        return []
    first = found[0].starts_degrees
    one_hand = [angle for angle in first if angle > 0]
    rest = [twist.starts_degrees for twist in found[1:]]
    count = len(one_hand) * int(np.prod([len(wells) for wells in rest], dtype=object) or 1)
    if count <= most:
        return list(itertools.product(one_hand, *rest))
    rng = random.Random(seed)
    drawn: dict[tuple[float, ...], None] = {}
    while len(drawn) < most:
        drawn[tuple(rng.choice(wells) for wells in [one_hand, *rest])] = None
    return list(drawn)


def with_twists(found: Conformers, most: int, seed: int) -> Conformers:
    """``found`` and at most ``most`` twisted copies of its lowest conformer, minimised.

    Args:
        seed: of the draw where there are more combinations of wells.
    """
    bonds = twists(found.molecule)
    combinations = starts(bonds, most, seed)
    if not combinations:
        return found
    molecule = Chem.Mol(found.molecule)
    lowest = molecule.GetConformer(found.order[0])
    for angles in combinations:
        copy = Chem.Conformer(lowest)
        for twist, angle in zip(bonds, angles, strict=True):
            rdMolTransforms.SetDihedralDeg(copy, *twist.atoms, angle)
        molecule.AddConformer(copy, assignId=True)
    return minimised(molecule)


def distinct_ranks(found: Conformers, most: int) -> list[int]:
    """Ranks of the lowest ``most`` conformers that are different minima, lowest first.

    Mirror images, and conformers that differ by the order of equal atoms alone, are the same.
    """
    kept: list[tuple[int, np.ndarray]] = []
    for rank, energy in enumerate(found.energies_ev):
        if len(kept) == most:
            break
        atoms = found.atoms(rank)
        row = {"numbers": atoms.numbers, "positions_angstrom": atoms.positions, "pbc": [False] * 3}
        mine = distance_fingerprint(row)
        if not any(
            energy - found.energies_ev[other] < SAME_EV
            and np.sqrt(np.mean((mine - theirs) ** 2)) < SAME_ANGSTROM
            for other, theirs in kept
        ):
            kept.append((rank, mine))
    return [rank for rank, _ in kept]


def _turns(atom: Chem.Atom) -> bool:
    planar = atom.GetHybridization() == Chem.HybridizationType.SP2
    return planar and atom.GetSymbol() not in ("O", "S") and _heavy_degree(atom) > 1


def _heavy_degree(atom: Chem.Atom) -> int:
    return sum(neighbour.GetAtomicNum() > 1 for neighbour in atom.GetNeighbors())


def _others(atom: Chem.Atom, bond: Chem.Bond) -> list[int]:
    """Neighbours of a bond's atom beside the bond, by number."""
    partner = bond.GetOtherAtomIdx(atom.GetIdx())
    return sorted(n.GetIdx() for n in atom.GetNeighbors() if n.GetIdx() != partner)


def _smaller_part(molecule: Chem.Mol, bond: Chem.Bond) -> int:
    """Atoms of the smaller of the two parts that a bond holds together."""
    parts = Chem.GetMolFrags(Chem.FragmentOnBonds(molecule, [bond.GetIdx()], addDummies=False))
    return min(map(len, parts))
