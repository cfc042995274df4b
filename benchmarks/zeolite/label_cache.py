"""Labels kept between runs, one line of JSON each, so that a benchmark goes on where it stopped."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterable
from pathlib import Path

import ase
import numpy as np

from molsieve.chem.identities import structure_row
from molsieve.engines import compute_label
from molsieve.engines.base import CalculationError
from molsieve.levels import Level, level_id
from molsieve.section import digest
from zeolite.workers import results


class LabelCache:
    """Rows of ``structures`` and ``labels`` of one level, kept in a file.

    A line that was cut off by a kill is computed again.
    """

    def __init__(self, level: Level, path: Path):
        self.level, self.level_id, self.path = level, level_id(level), path
        self.rows: dict[str, tuple[dict, dict]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                self._remember(line)

    def _remember(self, line: str) -> None:
        try:
            structure, label = json.loads(line)
        except json.JSONDecodeError:
            return
        if label["level_id"] == self.level_id:
            self.rows[structure["structure_id"]] = (structure, label)

    def label(self, atoms: ase.Atoms, name: str, origin: str = "displaced") -> tuple[dict, dict]:
        """The rows of a structure, computed unless known. A failed calculation is a row, too.

        Args:
            name: of the framework, the row's ``species_id``.
        """
        row = _row(atoms, name, origin)
        known = self.rows.get(row["structure_id"])
        if known is None:
            known = (row, _computed(self.level, self.level_id, atoms))
            self._keep(known)
        return known

    def label_ahead(self, structures: Iterable[ase.Atoms], name: str, processes: int) -> None:
        """Compute those that are unknown, small ones first, many at a time; later calls of
        :meth:`label` with the same ``name`` find them. One that kills its process is left out."""
        rows = {row["structure_id"]: (row, a) for a in structures for row in [_row(a, name)]}
        new = {key: pair for key, pair in rows.items() if key not in self.rows}
        sized = sorted(new.items(), key=lambda item: len(item[1][1]))
        wanted = {key: atoms for key, (_, atoms) in sized}
        work = functools.partial(_computed, self.level, self.level_id)
        for key, label in results(work, wanted, processes, self.path.stem):
            if label is not None:
                self._keep((new[key][0], label))

    def found(self, atoms: ase.Atoms) -> tuple[dict, dict] | None:
        """The rows of a structure, None where it has no label yet."""
        return self.rows.get(_row(atoms, "")["structure_id"])

    def _keep(self, pair: tuple[dict, dict]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write("\n" * _cut_off(self.path) + json.dumps(pair) + "\n")
        self.rows[pair[0]["structure_id"]] = pair


def _row(atoms: ase.Atoms, name: str, origin: str = "displaced") -> dict:
    return structure_row(atoms, species_id=name, origin=origin, geometry_protocol_id="benchmark")


def _computed(level: Level, identity: str, atoms: ase.Atoms) -> dict:
    started = time.perf_counter()
    label = {"structure_id": _row(atoms, "")["structure_id"], "level_id": identity}
    try:
        found = compute_label(atoms, level)
    except CalculationError as error:
        failed = {"status": "failed", "energy_ev": None, "error_message": str(error)}
        return label | failed | {"wall_s": time.perf_counter() - started}
    assert found.energy_ev is not None and found.forces_ev_per_angstrom is not None
    stress = found.stress_ev_per_angstrom3
    return label | {
        "status": "ok",
        "energy_ev": found.energy_ev,
        "forces_ev_per_angstrom": np.ravel(found.forces_ev_per_angstrom).tolist(),
        "stress_ev_per_angstrom3": None if stress is None else np.ravel(stress).tolist(),
        "wall_s": time.perf_counter() - started,
    }


def named(pairs: list[tuple[dict, dict]]) -> str:
    """A name of these labels: a committee of others is never taken for theirs."""
    return digest([[label["level_id"], label["structure_id"]] for _, label in pairs])[:8]


def _cut_off(path: Path) -> bool:
    """The file's last line has no end."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
