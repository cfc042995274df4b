"""The filters of an OLED campaign: one row of ``candidates`` from one raw candidate.

A rejected candidate carries the first reason that applies, in this order:

========================  ======================================================================
``valence``               an atom with more bonds than it can have
``unparsable``            not a SMILES, or a record without a molecule
``fragments``             several molecules (salts included)
``open_shell``            a radical
``charge``                a net charge
``heavy_atoms``           outside ``filters.min_heavy_atoms`` … ``max_heavy_atoms``
``atoms``                 outside ``filters.min_atoms`` … ``max_atoms``
``mass``                  heavier than ``filters.max_mass_dalton``
``elements``              an element outside ``filters.elements``
``alert:<name>``          contains the group of that alert
``sa_score``              harder to make than ``filters.max_sa_score``
========================  ======================================================================
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors

from molsieve.chem import descriptors
from molsieve.chem.fingerprints import morgan_fingerprint
from molsieve.chem.identities import candidate_id
from molsieve.chem.molecules import MoleculeError, canonical_smiles, parse_molecule
from molsieve.domains.oled import config
from molsieve.section import CampaignError

ALERTS = Path(__file__).parent / "alerts.csv"
_SYMBOL = re.compile(r"[A-Z][a-z]?")


class Screen:
    """The filters, compiled once a process."""

    def __init__(self, filters: config.Filters):
        self.filters = filters
        self._alerts = compile_alerts(filters)
        self._elements = frozenset(filters.elements)

    def row(self, text: str, source: str) -> dict:
        """The ``candidates`` row of one raw candidate."""
        try:
            molecule = parse_molecule(text)
        except MoleculeError as error:
            reason = "valence" if error.kind == "unparsable" and _overfull(text) else error.kind
            return _row(text, source, reason)
        identifier = canonical_smiles(molecule)
        row = {
            "heavy_atoms": molecule.GetNumHeavyAtoms(),
            "mass_dalton": descriptors.mass_dalton(molecule),
            "charge_e": Chem.GetFormalCharge(molecule),
        }
        refused = self._composition_reason(molecule, row) or self._alert(molecule)
        if refused is None:
            row |= _descriptors(molecule)
            refused = "sa_score" if row["sa_score"] > self.filters.max_sa_score else None
        return _row(identifier, source, refused) | row

    def _composition_reason(self, molecule: Chem.Mol, row: dict) -> str | None:
        filters = self.filters
        if row["charge_e"]:
            return "charge"
        if not filters.min_heavy_atoms <= row["heavy_atoms"] <= filters.max_heavy_atoms:
            return "heavy_atoms"
        if not filters.min_atoms <= molecule.GetNumAtoms(onlyExplicit=False) <= filters.max_atoms:
            return "atoms"
        if row["mass_dalton"] > filters.max_mass_dalton:
            return "mass"
        # The formula is compiled code: ten times quicker than asking atom by atom.
        symbols = _SYMBOL.findall(rdMolDescriptors.CalcMolFormula(molecule))
        return None if self._elements.issuperset(symbols) else "elements"

    def _alert(self, molecule: Chem.Mol) -> str | None:
        for name, pattern in self._alerts:
            if molecule.HasSubstructMatch(pattern):
                return f"alert:{name}"
        return None


def _overfull(text: str) -> bool:
    """Whether a SMILES reads as a graph, and an atom of it has more bonds than it can have."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text, sanitize=False)
        problems = Chem.DetectChemistryProblems(molecule) if molecule else ()
    return any(problem.GetType() == "AtomValenceException" for problem in problems)


def _row(identifier: str, source: str, reason: str | None) -> dict:
    identity = candidate_id(identifier)
    return {
        "candidate_id": identity,
        "identifier": identifier,
        "status": "accepted" if reason is None else "rejected",
        "source": source,
        "reject_reason": reason,
        "group": identity,
    }


def _descriptors(molecule: Chem.Mol) -> dict:
    score = descriptors.sa_score(molecule)
    return {
        "sa_score": score,
        "synthesizability": descriptors.synthesizability(score),
        "fingerprint": morgan_fingerprint(molecule),
    }


def shipped_alerts() -> list[config.Alert]:
    """The alerts of ``alerts.csv``, each with the reason it is there for."""
    with ALERTS.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [config.Alert(name=row["name"], smarts=row["smarts"]) for row in rows]


def compile_alerts(filters: config.Filters) -> list[tuple[str, Chem.Mol]]:
    """(name, pattern) of every alert, the element symbols checked on the way.

    Raises:
        CampaignError: naming the element or the SMARTS that RDKit does not know.
    """
    periodic_table = Chem.GetPeriodicTable()
    for index, symbol in enumerate(filters.elements):
        with rdBase.BlockLogs():
            try:
                periodic_table.GetAtomicNumber(symbol)
            except RuntimeError:
                raise CampaignError(
                    f"candidates.filters.elements[{index}]: {symbol!r} is not an element; "
                    "allowed: element symbols such as C, N, S"
                ) from None
    alerts = []
    for index, alert in enumerate(shipped_alerts() if filters.alerts is None else filters.alerts):
        with rdBase.BlockLogs():
            pattern = Chem.MolFromSmarts(alert.smarts)
        if pattern is None or pattern.GetNumAtoms() == 0:
            raise CampaignError(
                f"candidates.filters.alerts[{index}].smarts: {alert.smarts!r} is not a SMARTS that "
                "RDKit can read; allowed: e.g. '[OX2][OX2]' for peroxides"
            )
        alerts.append((alert.name, pattern))
    return alerts
