"""Scaffolds x substituents as SMILES text, each symmetry-distinct product once.

Products are written, not built: a scaffold's SMILES is cut at its attachment points and the
substituents' SMILES are put in, so that RDKit reads each product exactly once.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rdkit import Chem, rdBase

_ATTACHMENT = re.compile(r"\[\*:\d+\]")
_TOKEN = re.compile(r"\[[^\]]*\]|%\d\d|\d|.")
_PLAIN_CARBON = re.compile(r"[Cc](?:\d|%\d\d)*$")
_MARKER = 85  # astatine stands for "attachment point" while symmetry is sought; 0 matches any atom
_FIRST_RING_LABEL = 50  # scaffolds keep 1…49, substituents take %50 and up
_MAX_SYMMETRIES = 100_000
_TURNED = str.maketrans({"/": "\\", "\\": "/"})


@dataclass(frozen=True)
class ScaffoldTemplate:
    """A scaffold cut at its n attachment points.

    Attributes:
        segments: n + 1 pieces of SMILES; product = segment 0 + text at site 0 + segment 1 + …
        branched: whether a site's text stands in parentheses.
        hydrogens: the text of each site where nothing is substituted: empty where hydrogen may
            stay implicit (three times quicker to read), else an explicit one.
        symmetries: permutations of the n sites that leave the scaffold as it is, identity included.
    """

    segments: tuple[str, ...]
    branched: tuple[bool, ...]
    hydrogens: tuple[str, ...]
    symmetries: tuple[tuple[int, ...], ...]

    @property
    def sites(self) -> int:
        """Number of attachment points."""
        return len(self.segments) - 1


def scaffold_template(smiles: str) -> ScaffoldTemplate:
    """Read a scaffold such as ``O=C1C([*:1])=CC(=O)C=C1``.

    Raises:
        ValueError: unreadable, several fragments, or attachment points that are unnumbered,
            numbered twice or not bound by one single bond.
    """
    molecule = _read(smiles)
    dummies = [atom for atom in molecule.GetAtoms() if atom.GetAtomicNum() == 0]
    numbers = Counter(atom.GetAtomMapNum() for atom in dummies)
    if numbers[0]:
        raise ValueError("an attachment point has no number; write [*:1], [*:2], …")
    twice = [number for number, count in numbers.items() if count > 1]
    if twice:
        raise ValueError(f"attachment point [*:{twice[0]}] occurs twice; number each once")
    for atom in dummies:
        _check_attachment(atom)
    others = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum()]
    if not others:
        raise ValueError("there is no atom beside the attachment points")
    # Rooted elsewhere, an attachment point is a leaf of the text: any text may take its place.
    text = Chem.MolToSmiles(molecule, rootedAtAtom=others[0])
    order = [int(token[3:-1]) for token in _ATTACHMENT.findall(text)]
    return _cut(text, _symmetries(molecule, order))


def substituent_text(smiles: str) -> str:
    """The text that takes an attachment point's place: ``*OC`` gives ``OC``.

    Raises:
        ValueError: unreadable, or not exactly one ``*`` with one single bond.
    """
    molecule = _read(smiles)
    dummies = [atom for atom in molecule.GetAtoms() if atom.GetAtomicNum() == 0]
    if len(dummies) != 1:
        raise ValueError(f"it has {len(dummies)} '*'; exactly one marks where it is attached")
    if molecule.GetNumAtoms() == 1:
        raise ValueError("there is no atom beside '*'")
    _check_attachment(dummies[0])
    dummies[0].SetAtomMapNum(0)
    dummies[0].SetIsotope(0)
    rooted = Chem.MolToSmiles(molecule, rootedAtAtom=dummies[0].GetIdx())
    return "".join(_relabelled(token) for token in _TOKEN.findall(rooted)).removeprefix("*")


def products(
    template: ScaffoldTemplate, substituents: Sequence[str], max_substitutions: int
) -> Iterator[str]:
    """SMILES of every symmetry-distinct product, fewest substitutions first.

    Of the assignments that symmetry makes equal the one is kept whose substituted sites, then
    whose substituents along them, come first. The symmetry is the scaffold's with its attachment
    points: where these lie less symmetrically than the scaffold, equal products can remain.

    Args:
        substituents: texts of :func:`substituent_text`.
    """
    for count in range(min(max_substitutions, template.sites) + 1):
        for sites in itertools.combinations(range(template.sites), count):
            stabiliser = _stabiliser(sites, template.symmetries)
            if stabiliser is None:
                continue
            for chosen in itertools.product(range(len(substituents)), repeat=count):
                if all(chosen <= tuple(chosen[i] for i in swap) for swap in stabiliser):
                    texts = dict(zip(sites, (substituents[i] for i in chosen), strict=True))
                    yield assembled(template, texts)


def count_products(template: ScaffoldTemplate, substituents: int, max_substitutions: int) -> int:
    """How many :func:`products` gives, counted by Burnside's lemma and not by making them."""
    total = 0
    for symmetry in template.symmetries:
        # Assignments fixed by a symmetry: each cycle is all hydrogen or all one substituent.
        fixed = [1]
        for length in _cycle_lengths(symmetry):
            fixed = [
                (fixed[k] if k < len(fixed) else 0)
                + (substituents * fixed[k - length] if 0 <= k - length < len(fixed) else 0)
                for k in range(len(fixed) + length)
            ]
        total += sum(fixed[: max_substitutions + 1])
    return total // len(template.symmetries)


def _cut(text: str, symmetries: tuple[tuple[int, ...], ...]) -> ScaffoldTemplate:
    segments = _ATTACHMENT.split(text)
    branched, hydrogens = [], []
    for site in range(len(segments) - 1):
        before, after = segments[site], segments[site + 1]
        branched.append(before.endswith("(") and after.startswith(")"))
        if branched[-1]:
            segments[site], segments[site + 1] = before[:-1], after[1:]
        # Carbon out of brackets fills its valence; [C@], n and the like need to see their hydrogen.
        implicit = _PLAIN_CARBON.search(segments[site]) is not None
        hydrogens.append("" if implicit else "([H])" if branched[-1] else "[H]")
    return ScaffoldTemplate(tuple(segments), tuple(branched), tuple(hydrogens), symmetries)


def assembled(template: ScaffoldTemplate, texts: Mapping[int, str]) -> str:
    """SMILES of the scaffold with ``texts`` at their sites, hydrogen at all others."""
    parts = [template.segments[0]]
    for site, segment in enumerate(template.segments[1:]):
        text = texts.get(site)
        if text is None:
            parts.append(template.hydrogens[site])
        else:
            text = _one_direction(parts[-1], text)
            parts.append(f"({text})" if template.branched[site] else text)
        parts.append(segment)
    return "".join(parts)


def _one_direction(before: str, text: str) -> str:
    """``text``, its first bond without a direction where ``before`` ends with the bond's.

    A bond between two stereo double bonds has a direction from each. Where they differ all of the
    text's are turned: what is cis or trans inside it stays so.
    """
    if not (before.endswith(("/", "\\")) and text.startswith(("/", "\\"))):
        return text
    turned = text if before[-1] == text[0] else text.translate(_TURNED)
    return turned[1:]


def _stabiliser(
    sites: tuple[int, ...], symmetries: Sequence[tuple[int, ...]]
) -> list[tuple[int, ...]] | None:
    """Reorderings of ``sites`` by symmetry; None if an equal set of sites comes first."""
    swaps = set()
    for symmetry in symmetries:
        image = tuple(symmetry[site] for site in sites)
        ordered = tuple(sorted(image))
        if ordered < sites:
            return None
        if ordered == sites:
            swaps.add(tuple(sites.index(site) for site in image))
    swaps.discard(tuple(range(len(sites))))
    return sorted(swaps)


def _symmetries(molecule: Chem.Mol, order: list[int]) -> tuple[tuple[int, ...], ...]:
    marked = Chem.RWMol(molecule)
    site_of_atom = {}
    for atom in marked.GetAtoms():
        if atom.GetAtomicNum() == 0:
            site_of_atom[atom.GetIdx()] = order.index(atom.GetAtomMapNum())
            atom.SetAtomicNum(_MARKER)
            atom.SetAtomMapNum(0)
    plain = marked.GetMol()
    matches = plain.GetSubstructMatches(
        plain, uniquify=False, useChirality=True, maxMatches=_MAX_SYMMETRIES
    )
    atoms = sorted(site_of_atom, key=site_of_atom.__getitem__)
    images = {tuple(site_of_atom[match[atom]] for atom in atoms) for match in matches}
    return tuple(sorted(images | {tuple(range(len(order)))}))


def _cycle_lengths(permutation: tuple[int, ...]) -> list[int]:
    lengths, left = [], set(range(len(permutation)))
    while left:
        start = site = min(left)
        length = 0
        while length == 0 or site != start:
            left.discard(site)
            site = permutation[site]
            length += 1
        lengths.append(length)
    return lengths


def _relabelled(token: str) -> str:
    if token.isdigit():
        return f"%{_FIRST_RING_LABEL + int(token)}"
    return f"%{_FIRST_RING_LABEL + int(token[1:])}" if token.startswith("%") else token


def _check_attachment(atom: Chem.Atom) -> None:
    bonds = atom.GetBonds()
    if len(bonds) != 1 or bonds[0].GetBondType() != Chem.BondType.SINGLE:
        raise ValueError("an attachment point must have exactly one bond, a single one")


def _read(smiles: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ValueError("RDKit cannot read it as SMILES")
    if len(Chem.GetMolFrags(molecule)) > 1:
        raise ValueError("it holds several molecules; write one")
    return molecule
