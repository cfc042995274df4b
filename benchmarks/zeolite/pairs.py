"""Pairs of atoms within the cut-off: their energies, and the gradient without autograd.

Most of a step's time is theirs: gathers and scatters are sparse products, slopes are written out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from zeolite import contacts


@dataclass(frozen=True)
class PairTable:
    """P pairs of n atoms.

    Attributes:
        second_less_first: (P, n) with 1 and -1, and its transpose ``back``.
        shift: (P, 3) Å, of the second's cell against the first's.
        reach, depth, zeta: (P,) distance of the contact's minimum (Å), eV, steepness.
        product: (P,) of charges, e².
        weight: (P,) 0.5 where it is an atom with its own image, found twice.
        host: (P,) 1.0 where one is of the framework.
    """

    second_less_first: csr_matrix
    back: csr_matrix
    shift: np.ndarray
    reach: np.ndarray
    depth: np.ndarray
    zeta: np.ndarray
    product: np.ndarray
    weight: np.ndarray
    host: np.ndarray


def difference_matrix(pairs: np.ndarray, atoms: int) -> csr_matrix:
    """(P, n) with 1 at each pair's second atom and -1 at its first."""
    rows = np.arange(len(pairs)).repeat(2)
    signs = np.tile([-1.0, 1.0], len(pairs))
    return csr_matrix((signs, (rows, pairs.ravel())), shape=(len(pairs), atoms))


class PairEnergies(torch.autograd.Function):
    """(4,) eV: contacts with the framework and among guests, charges likewise."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: PairTable, form: str, scale: float) -> Tensor:
        """Of places (n, 3) Å; ``scale``: contact distances as shares of their own."""
        apart = table.second_less_first @ x.detach().numpy() + table.shift
        distance = np.sqrt(np.einsum("pk,pk->p", apart, apart))
        near = np.flatnonzero(distance < contacts.CUTOFF_ANGSTROM)
        r, reach = distance[near], table.reach[near] * scale
        if form == "exp6":
            contact, slope = contacts.exponential_6(r / reach, table.zeta[near])
        else:
            contact, slope = contacts.lennard_jones(r / reach)
        charge, charge_slope = contacts.coulomb(r)
        weight, host = table.weight[near], table.host[near]
        depth, product = table.depth[near] * weight, table.product[near] * weight
        ctx.saved = (table, near, apart[near] / r[:, None], host)
        ctx.slopes = (depth * slope / reach, product * charge_slope)
        sums = [
            (part @ share).item()
            for part in (depth * contact, product * charge)
            for share in (host, 1 - host)
        ]
        return torch.tensor(sums, dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """(n, 3) of (4,)."""
        table, near, direction, host = ctx.saved
        g = gradients[0].numpy()
        slope = np.zeros((len(table.weight), 3))
        shares = [g[k] * host + g[k + 1] * (1 - host) for k in (0, 2)]
        along = sum(share * part for share, part in zip(shares, ctx.slopes, strict=True))
        slope[near] = along[:, None] * direction
        return torch.from_numpy(table.back @ slope), None, None, None


class LennardJones(torch.autograd.Function):
    """:func:`zeolite.contacts.lennard_jones` of (P,) distances over the minimum's."""

    @staticmethod
    def forward(ctx: Any, rho: Tensor) -> Tensor:
        """(P,) in units of the depth."""
        value, slope = contacts.lennard_jones(rho.detach().numpy())
        ctx.slope = torch.from_numpy(slope)
        return torch.from_numpy(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """(P,) of (P,)."""
        return gradients[0] * ctx.slope
