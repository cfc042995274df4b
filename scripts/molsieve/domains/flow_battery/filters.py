"""The filters of a flow-battery campaign: one row of ``candidates`` from one raw candidate.

A rejected candidate carries the first reason that applies, in this order:

========================  ======================================================================
``unparsable``            not a SMILES, or a record without a molecule
``fragments``             several molecules (salts included)
``open_shell``            a radical
``heavy_atoms``           outside ``filters.min_heavy_atoms`` … ``max_heavy_atoms``
``elements``              an element outside ``filters.elements``
``charge``                a formal charge outside ``filters.charges_e``
``alert:<name>``          contains the group of that alert
``not_a_quinone``         no pair of C=O that the two-electron, two-proton reduction can act on
``sa_score``              harder to make than ``filters.max_sa_score``
``log_solubility``        less soluble than ``filters.min_log_solubility``
========================  ======================================================================
"""

from __future__ import annotations

import re

from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors

from molsieve.chem import descriptors
from molsieve.chem.fingerprints import morgan_fingerprint
from molsieve.chem.identities import candidate_id
from molsieve.chem.molecules import MoleculeError, canonical_smiles, parse_molecule
from molsieve.chem.quinones import is_quinone
from molsieve.domains.flow_battery import config
from molsieve.section import CampaignError

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
            return _row(text, source, error.kind)
        identifier = canonical_smiles(molecule)
        row = {
            "heavy_atoms": molecule.GetNumHeavyAtoms(),
            "mass_dalton": descriptors.mass_dalton(molecule),
            "charge_e": Chem.GetFormalCharge(molecule),
        }
        reason = self._composition_reason(molecule, row) or self._structure_reason(molecule)
        if reason is None:
            row |= _descriptors(molecule)
            reason = self._descriptor_reason(row)
        return _row(identifier, source, reason) | row

    def _composition_reason(self, molecule: Chem.Mol, row: dict) -> str | None:
        filters = self.filters
        if not filters.min_heavy_atoms <= row["heavy_atoms"] <= filters.max_heavy_atoms:
            return "heavy_atoms"
        # The formula is compiled code: ten times quicker than asking atom by atom.
        symbols = _SYMBOL.findall(rdMolDescriptors.CalcMolFormula(molecule))
        if not self._elements.issuperset(symbols):
            return "elements"
        return None if row["charge_e"] in filters.charges_e else "charge"

    def _structure_reason(self, molecule: Chem.Mol) -> str | None:
        for name, pattern in self._alerts:
            if molecule.HasSubstructMatch(pattern):
                return f"alert:{name}"
        return None if is_quinone(molecule) else "not_a_quinone"

    def _descriptor_reason(self, row: dict) -> str | None:
        if row["sa_score"] > self.filters.max_sa_score:
            return "sa_score"
        too_low = row["log_solubility"] < self.filters.min_log_solubility
        return "log_solubility" if too_low else None


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
        "log_solubility": descriptors.log_solubility(molecule),
        "sa_score": score,
        "synthesizability": descriptors.synthesizability(score),
        "fingerprint": morgan_fingerprint(molecule),
    }


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
                    "allowed: element symbols such as C, N, Cl"
                ) from None
    alerts = []
    for index, alert in enumerate(filters.alerts):
        with rdBase.BlockLogs():
            pattern = Chem.MolFromSmarts(alert.smarts)
        if pattern is None or pattern.GetNumAtoms() == 0:
            raise CampaignError(
                f"candidates.filters.alerts[{index}].smarts: {alert.smarts!r} is not a SMARTS that "
                "RDKit can read; allowed: e.g. '[OX2][OX2]' for peroxides"
            )
        alerts.append((alert.name, pattern))
    return alerts
