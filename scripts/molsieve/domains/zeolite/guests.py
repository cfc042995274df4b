"""The guests of a campaign: read, made neutral or left charged, filtered, described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem

from molsieve.chem import descriptors, molecule_files
from molsieve.chem.molecules import MoleculeError, canonical_smiles, parse_molecule
from molsieve.docking.guests import GuestError
from molsieve.docking.neutral import neutral_analogue
from molsieve.docking.proton_exchange import exchange_base
from molsieve.domains.zeolite import config
from molsieve.section import CampaignError


@dataclass(frozen=True)
class ScreenedGuest:
    """A guest as it is docked, or why it is refused. ``row``: what it adds to a candidate's row."""

    smiles: str
    reason: str | None
    row: dict

    @property
    def charge_e(self) -> int:
        """Charge as it is docked."""
        return int(self.row.get("charge_e", 0))


def screened_guests(source: config.Source, filters: config.Filters) -> Iterator[ScreenedGuest]:
    """Each guest once, in the order of the list and the file."""
    seen = set()
    for text in _guest_texts(source):
        guest = screen_guest(text, source.charged_guests, filters)
        if guest.smiles not in seen:
            seen.add(guest.smiles)
            yield guest


def screen_guest(text: str, charged: str, filters: config.Filters) -> ScreenedGuest:
    """A guest as it is docked, with the guest's columns of its candidates."""
    try:
        molecule = parse_molecule(text)
        if Chem.GetFormalCharge(molecule):
            if charged == "refuse":
                return ScreenedGuest(canonical_smiles(molecule), "charge", {})
            if charged == config.FRAMEWORK_ALUMINIUM:
                exchange_base(text)  # so that what cannot be compared is refused here
            else:
                molecule = parse_molecule(neutral_analogue(text))
    except (MoleculeError, GuestError) as error:
        return ScreenedGuest(text, f"guest: {error}", {})
    symbols = {atom.GetSymbol() for atom in molecule.GetAtoms()} | {"H"}
    score, heavy = descriptors.sa_score(molecule), molecule.GetNumHeavyAtoms()
    row = {
        "molecule": molecule,
        "heavy_atoms": heavy,
        "mass_dalton": descriptors.mass_dalton(molecule),
        "charge_e": Chem.GetFormalCharge(molecule),
        "sa_score": score,
        "synthesizability": descriptors.synthesizability(score),
    }
    reason = None
    if not symbols <= set(filters.elements):
        reason = "elements"
    elif not filters.min_heavy_atoms <= heavy <= filters.max_heavy_atoms:
        reason = "heavy_atoms"
    elif score > filters.max_sa_score:
        reason = "sa_score"
    return ScreenedGuest(canonical_smiles(molecule), reason, row)


def _guest_texts(source: config.Source) -> Iterator[str]:
    yield from source.guests
    if source.guest_file is None:
        return
    try:
        yield from molecule_files.read_smiles(Path(source.guest_file), None, source.smiles_column)
    except molecule_files.MoleculeFileError as error:
        raise CampaignError(f"candidates.source.guest_file: {error}") from error
