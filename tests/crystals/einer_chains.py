"""A framework in whose cell every T atom is its own neighbour: chains with one T atom a period."""

import ase

from molsieve.crystals.framework import Framework


def einer_chains() -> Framework:
    """Si2O4: an oxygen joins each T atom to its own image 3 Å away, as in the chains of CuGeO3.

    The chains of one T atom run along c, those of the other along b; along a they are linked.
    """
    si = [(0.0, 0.0, 0.0), (2.9, -0.7, 0.7)]
    in_chains = [(0.0, 0.61, 1.5), (2.9, 0.8, 1.31)]
    between = [(1.45, -0.7, 0.0), (4.35, -0.7, 0.0)]
    atoms = ase.Atoms("Si2O4", positions=si + in_chains + between, cell=(5.8, 3.0, 3.0), pbc=True)
    return Framework("einer", atoms)
