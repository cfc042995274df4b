"""Everything that the author of a zeolite campaign can get wrong in ``candidates``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from molsieve.chem import molecule_files
from molsieve.chem.molecules import MoleculeError, parse_molecule
from molsieve.crystals.ion_geometry import CATION_CHARGE_E
from molsieve.crystals.tetrahedra import OXIDATION_STATE
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.folders import cif_names
from molsieve.domains.zeolite.identifiers import SEPARATOR
from molsieve.section import CampaignError

OPEN_SHELLS = ("Fe", "Cr", "Co", "Mn", "Ni", "Cu")
"""Tetrahedral atoms with unpaired electrons in their oxidation state there."""


def check_candidates(candidates: config.Candidates) -> None:
    """Look at everything a YAML author can get wrong, without enumerating.

    Raises:
        CampaignError: naming the key, its value and what is allowed.
    """
    source = candidates.source
    if source.guest_file is not None:
        _check_guest_file(source)
    for index, smiles in enumerate(source.guests):
        try:
            parse_molecule(smiles)
        except MoleculeError as error:
            raise CampaignError(
                f"candidates.source.guests[{index}]: {smiles!r}: {error}. Allowed: SMILES of one "
                "closed-shell molecule, e.g. 'CN(C)C'"
            ) from error
    if source.folder is not None:
        _check_folder(source.folder, source.frameworks, "candidates.source")
    if source.charged_guests == config.FRAMEWORK_ALUMINIUM:
        _check_allowed(
            "Al", candidates, f"candidates.source.charged_guests ({source.charged_guests})"
        )
    _check_heteroatoms(candidates)


def _check_guest_file(source: config.Source) -> None:
    try:
        molecule_files.check_file(Path(str(source.guest_file)), None, source.smiles_column)
    except molecule_files.MoleculeFileError as error:
        raise CampaignError(f"candidates.source.guest_file: {error}") from error


def _check_folder(folder: str, codes: Sequence[str] | None, key: str) -> None:
    if not Path(folder).is_dir():
        raise CampaignError(
            f"{key}.folder: {folder!r} is no folder; allowed: a folder of CIF files, relative to "
            "the folder the campaign is started in, or null for the typed-in frameworks"
        )
    names = Counter(name[:-4] for name in cif_names(folder, None))
    if not names:
        raise CampaignError(f"{key}.folder: {folder!r} holds no .cif file")
    if wrong := sorted(n for n, times in names.items() if times > 1 or SEPARATOR in n):
        raise CampaignError(
            f"{key}.folder: the names of files in {folder!r} are frameworks' codes, each once and "
            f"without {SEPARATOR!r}; rename {', '.join(wrong[:5])}"
        )
    if missing := sorted(set(codes or ()) - set(names)):
        raise CampaignError(
            f"{key}.frameworks: no {', '.join(f'{code}.cif' for code in missing[:5])} in {folder!r}"
        )


def _check_heteroatoms(candidates: config.Candidates) -> None:
    """Elements of arrangements are known, and let through by the filters."""
    for index, entry in enumerate(candidates.source.heteroatoms):
        key = f"candidates.source.heteroatoms[{index}]"
        if entry.ion not in CATION_CHARGE_E:
            raise CampaignError(
                f"{key}.ion: {entry.ion!r} given; allowed: {', '.join(sorted(CATION_CHARGE_E))}"
            )
        for element in {**entry.counts, **entry.si_ratios}:
            if element not in OXIDATION_STATE:
                raise CampaignError(
                    f"{key}: {element!r} takes no T site here; allowed: "
                    f"{', '.join(sorted(OXIDATION_STATE))}"
                )
            if element in OPEN_SHELLS:
                raise CampaignError(
                    f"{key}: {element} has unpaired electrons, and structures are closed shells "
                    f"here; allowed: {', '.join(sorted(set(OXIDATION_STATE) - set(OPEN_SHELLS)))}"
                )
            _check_allowed(element, candidates, key)


def _check_allowed(element: str, candidates: config.Candidates, key: str) -> None:
    allowed = candidates.filters.elements
    if element not in allowed:
        raise CampaignError(
            f"{key}: {element} is not among candidates.filters.elements "
            f"({', '.join(allowed)}), so every candidate with it would be refused; add it"
        )
