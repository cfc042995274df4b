"""Several guests in one cell, made to settle beside each other as rigid bodies. Å, eV."""

from __future__ import annotations

import numpy as np

from molsieve.docking.guests import Guest
from molsieve.docking.hosts import Host
from molsieve.docking.orientations import small_rotations
from molsieve.docking.van_der_waals import pair_energies, pair_tables

FIRST_MOVE_ANGSTROM, LAST_MOVE_ANGSTROM = 0.4, 0.04
FIRST_TURN_RADIAN, LAST_TURN_RADIAN = 0.4, 0.04


def settle_together(
    host: Host,
    guest: Guest,
    positions: np.ndarray,
    cell: np.ndarray,
    steps: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """B packings of N guests (B, N, n, 3), each guest in turn moved downhill, ``steps`` rounds.

    A guest feels the host's grid and the nearest image of every atom of the others; a move is kept
    if it lowers that. Guests that overlap a little make room for each other.
    """
    found = positions.copy()
    met = np.tile(guest.numbers, positions.shape[1] - 1)
    tables = pair_tables(guest.numbers, met)
    for step in range(steps):
        fraction = step / max(steps - 1, 1)
        move = FIRST_MOVE_ANGSTROM * (LAST_MOVE_ANGSTROM / FIRST_MOVE_ANGSTROM) ** fraction
        turn = FIRST_TURN_RADIAN * (LAST_TURN_RADIAN / FIRST_TURN_RADIAN) ** fraction
        for k in range(positions.shape[1]):
            others = np.delete(found, k, axis=1).reshape(len(found), len(met), 3)
            noise = rng.standard_normal((2, len(found), 1, 3))
            middle = found[:, k].mean(axis=1, keepdims=True)
            rotations = small_rotations(turn * noise[1, :, 0])
            turned = np.einsum("pab,pnb->pna", rotations, found[:, k] - middle)
            trial = turned + middle + move * noise[0]
            before = _felt(host, guest, found[:, k], others, tables, cell)
            lower = _felt(host, guest, trial, others, tables, cell) < before
            found[lower, k] = trial[lower]
    return found


def _felt(
    host: Host,
    guest: Guest,
    mine: np.ndarray,
    others: np.ndarray,
    tables: tuple[np.ndarray, np.ndarray, np.ndarray],
    cell: np.ndarray,
) -> np.ndarray:
    """(B,) energy of one guest (B, n, 3) with the host and with the others (B, m, 3)."""
    apart = mine[:, :, None] - others[:, None]
    apart -= np.round(apart @ np.linalg.inv(cell)) @ cell
    between = pair_energies(np.sqrt(np.sum(apart**2, axis=3)), *tables).sum(axis=(1, 2))
    return host.grid_energies_ev(guest.numbers, mine) + between
