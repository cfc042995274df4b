"""What a campaign's property heads say of any structure, with calibrated uncertainty.

The domain's objectives that one molecule tells are given as the campaign itself gives them (same
members, same calibration: the numbers of ``predictions``), other properties by their own
calibration. Both are at the structure's geometry, of the level that objectives are at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.data import chemical_symbols

from molsieve.objective import mean_and_spread, member_values, objectives, species_roles
from molsieve.potential.calibrated import device_name
from molsieve.potential.evaluation_metrics import normal_quantile
from molsieve.potential.folders import CommitteeFiles, find_committee, read_json
from molsieve.potential.graphs import AtomsBatch
from molsieve.prediction import calibrated, of_objective
from molsieve.properties.committee import PropertyCommittee
from molsieve.properties.definitions import PROPERTIES, Property
from molsieve.properties.descriptors import HARDNESS_HARTREE
from molsieve.properties.evaluation import calibrated_properties
from molsieve.section import CampaignError
from molsieve.tables import PROPERTY_COLUMNS


@dataclass(frozen=True)
class Told:
    """A quantity of S structures, in its unit; NaN where the heads cannot tell it.

    Attributes:
        name: without unit. unit: ``eV`` or ``1``. heading: for a person.
        mean, std, std_raw: (S,); std is calibrated where there was enough to calibrate on.
        interval_68, interval_95: (S, 2). members: (M, S).
        outside: (S,) bool, a spread beyond all that was calibrated.
    """

    name: str
    unit: str
    heading: str
    mean: np.ndarray
    std: np.ndarray
    std_raw: np.ndarray
    interval_68: np.ndarray
    interval_95: np.ndarray
    members: np.ndarray
    outside: np.ndarray

    @property
    def suffix(self) -> str:
        """Of its columns' names."""
        return "" if self.unit == "1" else f"_{self.unit.lower()}"

    def columns(self, s: int) -> dict[str, Any]:
        """Of ``property_predictions``, of structure ``s``; none where it is not known."""
        if not np.isfinite(self.mean[s]):
            return {}
        parts = {
            "": float(self.mean[s]),
            "_std": float(self.std[s]),
            "_std_raw": float(self.std_raw[s]),
            "_interval_68": self.interval_68[s].tolist(),
            "_interval_95": self.interval_95[s].tolist(),
            "_members": self.members[:, s].tolist(),
        }
        return {f"{self.name}{part}{self.suffix}": value for part, value in parts.items()}


@dataclass(frozen=True)
class CalibratedHeads:
    """The property members of a round and the calibration of their spread.

    Attributes:
        calibration: the round's ``calibration.json``.
    """

    committee: PropertyCommittee
    domain: str
    calibration: Mapping[str, Any]

    @property
    def calibrated_on(self) -> int:
        """Molecules that all objectives' spreads were calibrated on; 0: too few, not calibrated."""
        parts = self.calibration.get("objectives") or {"": self.calibration}
        counts = [p["n_calibration"] for p in parts.values() if p.get("calibrated")]
        return min(counts) if len(counts) == len(parts) else 0

    def predict(self, structures: Sequence[ase.Atoms]) -> tuple[list[Told], list[str | None]]:
        """Every quantity of the structures, and of each why it is not to be trusted, None if it is.

        Args:
            structures: charge and multiplicity of each in ``info``, 0 and 1 where unsaid.
        """
        reasons = [self._refused(atoms) for atoms in structures]
        members = self._members(structures, reasons)
        found = [*self._objectives(members), *self._properties(members)]
        for s in range(len(structures)):
            reasons[s] = reasons[s] or _reason(found, s)
        order = list(PROPERTY_COLUMNS)
        return sorted(found, key=lambda one: order.index(one.name + one.suffix)), reasons

    def _refused(self, atoms: ase.Atoms) -> str | None:
        """Why the heads cannot be asked."""
        if atoms.pbc.any():
            return "property heads are for molecules, not for periodic structures"
        beyond = sorted(z for z in set(atoms.numbers.tolist()) if z > len(HARDNESS_HARTREE))
        if beyond and self.committee.descriptors:
            symbols = ", ".join(chemical_symbols[z] for z in beyond)
            return f"property heads have no descriptor of {symbols}, beyond chlorine"
        return None

    def _members(
        self, structures: Sequence[ase.Atoms], reasons: Sequence[str | None]
    ) -> dict[str, np.ndarray]:
        """Property → (M, S), NaN where there is a reason."""
        told = [s for s, reason in enumerate(reasons) if reason is None]
        shape = (len(self.committee), len(structures))
        found = {name: np.full(shape, np.nan) for name in self.committee.names}
        if told:
            values = self.committee(AtomsBatch.from_atoms([structures[s] for s in told]))
            for name in found:
                found[name][:, told] = values[name].numpy()
        return found

    def _objectives(self, members: Mapping[str, np.ndarray]) -> list[Told]:
        """Those of the domain, where one molecule makes a candidate."""
        roles = species_roles(self.domain)
        if len(roles) != 1:
            return []
        shape = next(iter(members.values())).shape
        unknown = {roles[0]: np.full(shape, np.nan)}
        values = member_values(self.domain, unknown, {}, None, {roles[0]: members})
        found = []
        for o in objectives(self.domain):
            own = of_objective(self.calibration, o.name, self.domain)
            moments = zip(*mean_and_spread(values[o.name]), strict=True)
            rows = [calibrated(float(mean), float(spread), own) for mean, spread in moments]
            columns = {key: np.array([row[key] for row in rows], float) for key in rows[0]}
            limit = own.get("std_raw_limit")
            outside = columns["std_raw"] > (np.inf if limit is None else limit)
            found.append(
                Told(o.name, o.unit, o.heading, members=values[o.name], outside=outside, **columns)
            )
        return found

    def _properties(self, members: Mapping[str, np.ndarray]) -> list[Told]:
        """Those that no objective of the domain tells."""
        known = {o.name for o in objectives(self.domain)}
        asked = [PROPERTIES[name] for name in members if PROPERTIES[name].quantity not in known]
        content = self.calibration.get("properties", {})
        return [_property(one, members[one.name], content) for one in asked]


def _property(one: Property, members: np.ndarray, calibration: Mapping[str, Any]) -> Told:
    """A property by its own calibration, by the members' own spread where it has none."""
    mean, raw = mean_and_spread(members)
    std, halves = raw, [raw * normal_quantile(level) for level in (0.68, 0.95)]
    if (told := calibrated_properties({one.name: members}, calibration).get(one.name)) is not None:
        std, halves = told.std, [told.half_68, told.half_95]
    low, high = (np.stack([mean - half, mean + half], axis=1) for half in halves)
    name = one.name.removesuffix("_ev")
    inside = np.zeros(len(mean), bool)
    return Told(name, one.unit, one.heading, mean, std, raw, low, high, members, inside)


def _reason(found: Sequence[Told], s: int) -> str | None:
    for one in found:
        if not np.isfinite(one.mean[s]):
            return f"{one.heading} is not finite"
        if one.outside[s]:
            return f"the members' spread of {one.heading} is beyond the calibrated one"
    return None


def open_heads(files: CommitteeFiles, device: str = "auto") -> CalibratedHeads | None:
    """The property heads that lie beside a committee; None where the campaign has none.

    Raises:
        CampaignError: a damaged member; a domain that this Molsieve does not know.
    """
    if not files.properties:
        return None
    try:
        committee = PropertyCommittee.load(files.properties, device_name(device))
        objectives(str(files.domain))
    except ModuleNotFoundError as error:
        raise CampaignError(f"{files}: its domain {files.domain!r} is not known here") from error
    except CampaignError:
        raise
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise CampaignError(f"{files}: a property member cannot be loaded: {error}") from error
    return CalibratedHeads(committee, str(files.domain), read_json(files.calibration))


def load_heads(
    folder: str | Path, round: int | None = None, device: str = "auto"
) -> CalibratedHeads | None:
    """The property heads of a campaign or of an exported committee, for use anywhere.

    Args:
        folder, round, device: as of :func:`molsieve.potential.load_committee`.

    Raises:
        CampaignError: as there.
    """
    return open_heads(find_committee(Path(folder), round), device)
