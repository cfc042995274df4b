"""Bonds, angles, torsions and pairs of a pose, as index arrays of a force field."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from ase.neighborlist import neighbor_list
from matscipy.neighbours import neighbour_list

from zeolite.poses import SI_O_ANGSTROM, Pose

PAIRS_WITHIN_ANGSTROM = 11.0
"""Of the pose: the force field's 9 Å and 2 Å for what a relaxation moves."""

LINEAR_COSINE = -0.98
"""Of 168.5°: a torsion about straighter angles turns at nothing."""

Image = tuple[int, int, int]
Neighbours = dict[int, list[tuple[int, Image]]]


@dataclass(frozen=True)
class Chains:
    """C groups of k atoms, each atom with the cell it stands in.

    Attributes:
        atoms: (C, k); images: (C, k, 3).
        weight: (C,) share of a term that the group has; of a pair 0.5 where it is an atom with
            its own image, found twice.
    """

    atoms: np.ndarray
    images: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Topology:
    """All groups; ``pairs`` are between framework and guests or between guests, images too;
    ``inner`` are pairs of one guest more than three bonds apart."""

    bonds: Chains
    angles: Chains
    torsions: Chains
    pairs: Chains
    inner: Chains


def topology(pose: Pose) -> Topology:
    """Found once, at the pose: bonds never change."""
    neighbours = _neighbours(pose)
    bonds = [
        ((i, j), ((0, 0, 0), s), 1.0) for i, part in neighbours.items() for j, s in part if i < j
    ]
    return Topology(
        _chains(bonds, 2),
        _chains(_angles(neighbours), 3),
        _chains(_torsions(pose, neighbours), 4),
        _pairs(pose),
        _chains(_inner(pose, neighbours), 2),
    )


def _chains(found: list[tuple], size: int) -> Chains:
    return Chains(
        np.array([row[0] for row in found], dtype=int).reshape(-1, size),
        np.array([row[1] for row in found], dtype=float).reshape(-1, size, 3),
        np.array([row[2] for row in found], dtype=float),
    )


def _neighbours(pose: Pose) -> Neighbours:
    """Si-O bonds of the framework, and the guests' bonds."""
    numbers, framework = pose.atoms.numbers, pose.framework
    i, j, image = neighbor_list("ijS", pose.atoms, {(8, 14): SI_O_ANGSTROM})
    kept = framework[i] & framework[j] & (numbers[i] != numbers[j])
    found: Neighbours = defaultdict(list)
    for a, b, s in zip(i[kept], j[kept], image[kept], strict=True):
        found[int(a)].append((int(b), (int(s[0]), int(s[1]), int(s[2]))))
    for a, b, s in pose.bonds:
        found[a].append((b, s))
    return found


def _angles(neighbours: Neighbours) -> list[tuple]:
    found = []
    for centre, around in neighbours.items():
        for p in range(len(around)):
            for q in range(p):
                atoms = (around[p][0], centre, around[q][0])
                found.append((atoms, (around[p][1], (0, 0, 0), around[q][1]), 1.0))
    return found


def _torsions(pose: Pose, neighbours: Neighbours) -> list[tuple]:
    """Of guests alone: a framework's Si-O-Si-O turn freely. About three atoms in a line (alkynes,
    nitriles) there is none."""
    found = []
    for b, around in neighbours.items():
        for c, image in around:
            if pose.framework[b] or b > c:
                continue
            back = (-image[0], -image[1], -image[2])
            first = [n for n in neighbours[b] if n != (c, image) and _bent(pose, n, b, (c, image))]
            last = [n for n in neighbours[c] if n != (b, back) and _bent(pose, n, c, (b, back))]
            share = 1 / max(1, len(first) * len(last))
            for a, image_a in first:
                for d, image_d in last:
                    beyond = tuple(x + y for x, y in zip(image, image_d, strict=True))
                    images = (image_a, (0, 0, 0), image, beyond)
                    found.append(((a, b, c, d), images, share))
    return found


def _bent(pose: Pose, one: tuple[int, Image], centre: int, other: tuple[int, Image]) -> bool:
    """Three atoms are not in a line."""
    places, cell = pose.atoms.positions, pose.atoms.cell.array
    u, v = (places[k] + np.array(image) @ cell - places[centre] for k, image in (one, other))
    return bool(u @ v > LINEAR_COSINE * np.linalg.norm(u) * np.linalg.norm(v))


def _pairs(pose: Pose) -> Chains:
    """Framework with guests, and guests with guests and with their own images."""
    i, j, image = neighbour_list("ijS", pose.atoms, PAIRS_WITHIN_ANGSTROM)
    guest = np.full(len(pose.atoms), -1)
    for number, index in enumerate(pose.guests):
        guest[index] = number
    apart = (image != pose.images[j] - pose.images[i]).any(1)
    other = (guest[i] != guest[j]) | ((guest[i] >= 0) & apart)
    kept = other & (i <= j)
    atoms = np.stack([i[kept], j[kept]], 1)
    images = np.stack([np.zeros_like(image[kept]), image[kept]], 1).astype(float)
    return Chains(atoms, images, np.where(i[kept] == j[kept], 0.5, 1.0))


def _inner(pose: Pose, neighbours: Neighbours) -> list[tuple]:
    """Pairs of atoms of one guest, four bonds apart or more."""
    found = []
    for index in pose.guests:
        place = {int(atom): k for k, atom in enumerate(index)}
        step = np.eye(len(index), dtype=int)
        for atom in place:
            for other, _ in neighbours[atom]:
                step[place[atom], place[other]] = 1
        near = np.linalg.matrix_power(step, 3) > 0
        for x, y in zip(*np.nonzero(np.tril(~near)), strict=True):
            i, j = int(index[x]), int(index[y])
            found.append(((i, j), ((0, 0, 0), tuple(pose.images[j] - pose.images[i])), 1.0))
    return found
