"""Quinones and their hydroquinones: the 2 e-, 2 H+ reduction of a conjugated pair of C=O.

A pair of ring ketones is a quinone pair if adding H to both oxygens leaves a closed-shell molecule
in which both carbons are aromatic. In any Kekulé structure that holds exactly when an alternating
path single, double, …, single leads from one carbonyl carbon to the other; swapping its bonds is
the reaction. One rule so covers ortho, para, amphi and extended (diphenoquinone) isomers, where
reaction SMARTS would need one pattern an isomer; the tests compare it with those patterns.
"""

from __future__ import annotations

import itertools
from functools import cache

from rdkit import Chem, rdBase

_SINGLE, _DOUBLE = Chem.BondType.SINGLE, Chem.BondType.DOUBLE
# Neutral sp2 carbon in a ring between two carbons: no ester, amide, imide or acid.
_KETONE = "[#6;R;+0](=[OX1;+0])([#6])[#6]"
_ENE = "[#6;!$(*=;!@*)]=,:[#6;!$(*=;!@*)]"
_CARBONYL = "[$([#6;+0]=[OX1;+0])]"
# The two commonest cores, recognised in compiled code; every other goes the general way.
_COMMON_CORES = (
    f"{_CARBONYL}1{_ENE}{_CARBONYL}{_ENE}1",
    f"{_CARBONYL}1{_CARBONYL}{_ENE}{_ENE}1",
)


class NotAQuinone(ValueError):
    """A molecule without a pair of C=O that the reduction can act on."""


def is_quinone(molecule: Chem.Mol) -> bool:
    """Whether :func:`reduce_quinone` finds a pair to act on."""
    return _has_common_core(molecule) or bool(_reductions(molecule))


def reduce_quinone(molecule: Chem.Mol) -> Chem.Mol:
    """The aromatic diol: ``molecule`` + 2 H on its quinone pair.

    Of several pairs the one whose product has the most aromatic atoms is reduced, then the one with
    the shortest path between the carbons, then the product first in canonical order.

    Raises:
        NotAQuinone: no pair of ring ketones is conjugated as a quinone is.
    """
    products = _reductions(molecule)
    if not products:
        raise NotAQuinone(
            f"{Chem.MolToSmiles(molecule)} has no pair of conjugated ring C=O to reduce"
        )
    return min(products, key=lambda entry: entry[:3])[3]


def _reductions(molecule: Chem.Mol) -> list[tuple[int, int, str, Chem.Mol]]:
    """(-aromatic atoms, path length, canonical SMILES, product) of every quinone pair."""
    carbonyls = [match[:2] for match in molecule.GetSubstructMatches(_ketone())]
    if len(carbonyls) < 2:
        return []
    kekule = Chem.Mol(molecule)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    orders = _bond_orders(kekule)
    products = []
    for i, (carbon_a, oxygen_a) in enumerate(carbonyls):
        for carbon_b, oxygen_b in carbonyls[i + 1 :]:
            path = _alternating_path(orders, carbon_a, carbon_b, {oxygen_a, oxygen_b})
            if path is None:
                continue
            product = _reduce(kekule, path, (oxygen_a, oxygen_b))
            if product is None:
                continue
            if all(product.GetAtomWithIdx(c).GetIsAromatic() for c in (carbon_a, carbon_b)):
                aromatic = sum(atom.GetIsAromatic() for atom in product.GetAtoms())
                products.append((-aromatic, len(path), Chem.MolToSmiles(product), product))
    return products


def _bond_orders(kekule: Chem.Mol) -> list[dict[int, Chem.BondType]]:
    neighbours: list[dict[int, Chem.BondType]] = [{} for _ in range(kekule.GetNumAtoms())]
    for bond in kekule.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        neighbours[a][b] = neighbours[b][a] = bond.GetBondType()
    return neighbours


def _alternating_path(
    orders: list[dict[int, Chem.BondType]], start: int, end: int, blocked: set[int]
) -> list[int] | None:
    """Atoms of a shortest path start … end along single, double, …, single bonds; None if none.

    Simple paths are searched in order of length, so an odd ring cannot hide one.
    """
    paths = [[start]]
    while paths:
        longer = []
        for path in paths:
            wanted = _SINGLE if len(path) % 2 else _DOUBLE
            for atom, order in orders[path[-1]].items():
                if order != wanted or atom in path or atom in blocked:
                    continue
                if atom == end and wanted == _SINGLE:
                    return [*path, atom]
                if atom != end and (wanted == _DOUBLE or _DOUBLE in orders[atom].values()):
                    longer.append([*path, atom])
        paths = longer
    return None


def _reduce(kekule: Chem.Mol, path: list[int], oxygens: tuple[int, int]) -> Chem.Mol | None:
    """The product of swapping the path's bonds and adding H to the oxygens; None if impossible."""
    product = Chem.RWMol(kekule)
    for step, (a, b) in enumerate(itertools.pairwise(path)):
        product.GetBondBetweenAtoms(a, b).SetBondType(_SINGLE if step % 2 else _DOUBLE)
    for carbon, oxygen in zip((path[0], path[-1]), oxygens, strict=True):
        product.GetBondBetweenAtoms(carbon, oxygen).SetBondType(_SINGLE)
        product.GetAtomWithIdx(oxygen).SetNumExplicitHs(0)
        product.GetAtomWithIdx(oxygen).SetNoImplicit(False)
    for bond in product.GetBonds():
        bond.SetStereo(Chem.BondStereo.STEREONONE)
        bond.SetBondDir(Chem.BondDir.NONE)
    with rdBase.BlockLogs():
        if Chem.SanitizeMol(product, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
    Chem.AssignStereochemistry(product, cleanIt=True, force=True)
    return product.GetMol()


def _has_common_core(molecule: Chem.Mol) -> bool:
    # A bridged core is no smallest ring, and its diol not aromatic: it goes the general way too.
    rings = {frozenset(ring) for ring in molecule.GetRingInfo().AtomRings()}
    return any(
        frozenset(match) in rings
        for core in _common_cores()
        for match in molecule.GetSubstructMatches(core)
    )


@cache
def _ketone() -> Chem.Mol:
    return Chem.MolFromSmarts(_KETONE)


@cache
def _common_cores() -> tuple[Chem.Mol, ...]:
    return tuple(Chem.MolFromSmarts(core) for core in _COMMON_CORES)
