"""Fragments that molecules are joined from: where they are joined, where they take substituents.

A fragment's SMILES has ``*`` where a neighbouring fragment is bound (its joints) and ``[*:1]``,
``[*:2]`` … where a substituent may stand (its free sites): ``*n1c2ccccc2c2cc([*:1])ccc21`` is
carbazole, joined by its nitrogen, with one free site.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, rdBase

from molsieve.chem import enumeration

KINDS = ("donor", "bridge", "acceptor")
COLUMNS = ("kind", "name", "smiles")
_JOINT = 84  # polonium stands for a joint while sites are filled; 0 is what marks a site


class FragmentError(ValueError):
    """A file of fragments, or one of its rows, that cannot be used; the message names both."""


@dataclass(frozen=True)
class Fragment:
    """A donor, a bridge or an acceptor.

    Attributes:
        joints: how many neighbours it has.
        sites: how many substituents it can take.
    """

    kind: str
    name: str
    smiles: str
    joints: int
    sites: int


def read_fragments(path: Path) -> list[Fragment]:
    """The fragments of a CSV file with the columns kind, name, smiles; others are left aside.

    Raises:
        FragmentError: no such file, a missing column, or a row that is no fragment.
    """
    if not path.is_file():
        raise FragmentError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        reader = csv.DictReader(lines)
        lacking = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if lacking:
            found = ", ".join(reader.fieldnames or []) or "none"
            raise FragmentError(f"{path}: no column {lacking[0]!r}; columns found: {found}")
        found_rows = [(reader.line_num, row) for row in reader]
    fragments: dict[tuple[str, str], Fragment] = {}
    for line, row in found_rows:
        kind, name, smiles = ((row[column] or "").strip() for column in COLUMNS)
        try:
            fragment = parse_fragment(kind, name, smiles)
            if (kind, name) in fragments:
                raise ValueError(f"{kind} {name!r} is there twice; give each a name of its own")
        except ValueError as error:
            raise FragmentError(f"{path}, line {line}: {smiles!r}: {error}") from None
        fragments[kind, name] = fragment
    return list(fragments.values())


def parse_fragment(kind: str, name: str, smiles: str) -> Fragment:
    """A fragment, checked.

    Raises:
        ValueError: unknown kind, no name, unreadable SMILES, no joint, a bridge without two, or
            free sites that are numbered twice or not bound by one single bond.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} given; allowed: {', '.join(KINDS)}")
    if not name:
        raise ValueError("it has no name")
    marked, joints = _marked(smiles)
    if joints == 0:
        raise ValueError("it has no '*'; each marks where a neighbouring fragment is bound")
    if kind == "bridge" and joints != 2:
        raise ValueError(f"a bridge has two '*', this one {joints}")
    template = enumeration.scaffold_template(marked)
    return Fragment(kind, name, smiles, joints, template.sites)


def forms(fragment: Fragment, substituents: Sequence[str], max_substitutions: int) -> Iterator[str]:
    """Canonical SMILES, with ``*`` at the joints, of every distinct way to fill the free sites.

    Fewest substituents first; hydrogen where there is none.

    Args:
        substituents: texts of :func:`enumeration.substituent_text`.

    Raises:
        FragmentError: a substituent cannot stand on a site.
    """
    template = enumeration.scaffold_template(_marked(fragment.smiles)[0])
    seen = set()
    for text in enumeration.products(template, substituents, max_substitutions):
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(text.replace("[Po]", "*"))
        if molecule is None:
            raise FragmentError(
                f"{fragment.kind} {fragment.name!r} ({fragment.smiles}): with a substituent it is "
                f"no molecule: {text.replace('[Po]', '*')!r}"
            )
        form = Chem.MolToSmiles(Chem.RemoveHs(molecule))
        if form not in seen:
            seen.add(form)
            yield form


def _marked(smiles: str) -> tuple[str, int]:
    """SMILES with ``[Po]`` in place of every unnumbered ``*``, and how many there are."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ValueError("RDKit cannot read it as SMILES")
    joints = 0
    for atom in molecule.GetAtoms():
        if atom.GetAtomicNum() or atom.GetAtomMapNum():
            continue
        bonds = atom.GetBonds()
        if len(bonds) != 1 or bonds[0].GetBondType() != Chem.BondType.SINGLE:
            raise ValueError("a '*' must have exactly one bond, a single one")
        atom.SetAtomicNum(_JOINT)
        atom.SetIsotope(0)
        atom.SetNoImplicit(True)
        joints += 1
    return Chem.MolToSmiles(molecule), joints
