"""S1 and T1 by TDA against theoretical best estimates (QUEST), by functional.

    python benchmarks/quest_excitations.py --estimates quest_tbe.csv --geometries folder

Any set of molecules with the columns of ``quest_tbe.csv`` (``name``, ``smiles``, ``S1_eV``,
``S1_state``, ``S1_valence_eV``, ``T1_eV``) and a folder of xyz files named after them is scored by
the same command. QUEST's geometries: ``geometries/xyz`` of github.com/pfloos/QUESTDB (J. Chem.
Theory Comput. 21, 8010 (2025)); they are not shipped. Its files are in bohr or in Å, each as it
likes; which, is told from the bond lengths.

``--optimise-missing`` makes a geometry of its own (GFN2-xTB, then PBE0/def2-SVP) for molecules that
the folder lacks; the result says for which. What is compared with what:

- the compact basis: the lowest root of each spin that is no Rydberg state (see ``electron_spreads``
  in ``engines/base.py``) with ``S1_valence_eV`` and ``T1_eV``;
- the diffuse basis: the lowest singlet with ``S1_eV`` where that is a Rydberg state (" R ").

Molecules whose best estimate has S1 below T1 are reported apart: TDA has no double excitations, and
puts every one of them the other way round. Every calculation is kept as a line of
``<results>/<estimates>.jsonl``: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pandas as pd
from quest_geometries import atoms_of, geometry_file, own_geometry, read_geometry

from molsieve.engines import CalculationError, pyscf
from molsieve.engines.excited import excited_states
from molsieve.engines.excited_flags import is_rydberg as is_diffuse
from molsieve.engines.scf_ladder import converge
from molsieve.levels import parse_level

FUNCTIONALS = ("PBE0", "B3LYP", "CAM-B3LYP", "HYB_GGA_XC_WB97X_D")
"""The last is ωB97X-D, of which PySCF has no dispersion (excitations do not feel it)."""
BASES = {"compact": "def2-SVP", "diffuse": "def2-SVPD"}
QUANTITIES = ("S1", "T1", "Rydberg")
TABLE = [
    *("name", "geometry", "functional", "S1", "S1 best", "T1", "T1 best"),
    *("Rydberg", "Rydberg best", "seen_as_rydberg"),
]
OWN = "own"
"""In place of a file's name: of a geometry that was made here."""
KEY = ("name", "geometry", "functional", "basis", "method")


def main() -> None:
    """Compute what is missing, print every molecule and the errors by functional."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--estimates", type=Path, required=True)
    default = os.environ.get("MOLSIEVE_QUEST", "benchmarks/results/quest/xyz")
    parser.add_argument("--geometries", type=Path, default=Path(default))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/quest"))
    parser.add_argument("--functionals", nargs="+", default=list(FUNCTIONALS))
    parser.add_argument("--bases", nargs="+", default=list(BASES), choices=list(BASES))
    parser.add_argument("--method", default="tda", choices=["tda", "tddft"])
    parser.add_argument("--max-atoms", type=int, default=1000)
    parser.add_argument("--optimise-missing", action="store_true")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin nothing after these")
    arguments = parser.parse_args()
    if not arguments.geometries.is_dir() and not arguments.optimise_missing:
        print(f"skipped: no folder {arguments.geometries} (--geometries, or MOLSIEVE_QUEST)")
        return
    estimates = pd.read_csv(arguments.estimates)
    molecules = dict(found(estimates, arguments))
    lacking = sorted(set(estimates["name"]) - set(molecules))
    rows = compute(estimates, molecules, arguments)
    report(estimates, rows, lacking)


# ---------------------------------------------------------------- geometries


def found(
    estimates: pd.DataFrame, arguments: argparse.Namespace
) -> Iterator[tuple[str, tuple[ase.Atoms, str]]]:
    """Name → (atoms in Å, where the geometry is from), small molecules first."""
    own = arguments.results / "own_geometries"
    molecules = {}
    for row in estimates.itertuples():
        path = geometry_file(row.name, row.smiles, arguments.geometries)
        kept = own / f"{row.name}.xyz"
        if path is not None:
            molecules[row.name] = read_geometry(path), path.stem
        elif kept.exists():
            molecules[row.name] = ase.io.read(kept), OWN
        elif arguments.optimise_missing and atoms_of(row.smiles) <= arguments.max_atoms:
            own.mkdir(parents=True, exist_ok=True)
            atoms = own_geometry(row.smiles)
            ase.io.write(kept, atoms, comment="GFN2-xTB, then PBE0/def2-SVP")
            molecules[row.name] = atoms, OWN
    return iter(sorted(molecules.items(), key=lambda item: (len(item[1][0]), item[0])))


# ---------------------------------------------------------------- calculations


def compute(
    estimates: pd.DataFrame,
    molecules: dict[str, tuple[ase.Atoms, str]],
    arguments: argparse.Namespace,
) -> pd.DataFrame:
    """A row a molecule, functional and basis; those in the log are not computed again."""
    log = arguments.results / f"{arguments.estimates.stem}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {tuple(row[name] for name in KEY) for row in rows}
    rydberg = set(estimates.loc[estimates["S1_state"].map(is_rydberg), "name"])
    started = time.monotonic()
    with log.open("a") as journal:
        for name, (atoms, geometry) in molecules.items():
            for kind, functional in [
                (k, f) for k in arguments.bases for f in arguments.functionals
            ]:
                key = (name, geometry, functional, BASES[kind], arguments.method)
                late = time.monotonic() - started > 60 * arguments.minutes
                unneeded = kind == "diffuse" and name not in rydberg
                if key in known or late or unneeded or len(atoms) > arguments.max_atoms:
                    continue
                row = {
                    **dict(zip(KEY, key, strict=True)),
                    **roots(atoms, functional, BASES[kind], arguments.method),
                }
                rows.append(row)
                journal.write(json.dumps(row) + "\n")
                journal.flush()
                print(*key, f"{row['seconds']:.0f} s", row.get("error", ""), file=sys.stderr)
    asked = pd.DataFrame(rows)
    return asked[
        asked["functional"].isin(arguments.functionals)
        & (asked["method"] == arguments.method)
        & asked["name"].isin(molecules)
    ]


def roots(atoms: ase.Atoms, functional: str, basis: str, method: str) -> dict[str, Any]:
    """Energies (eV) and spreads (Å) of the lowest roots; ``error`` where there are none."""
    level = parse_level(
        {
            "engine": "pyscf",
            "functional": functional,
            "basis": basis,
            "grid_level": 2,
            "excitations": {
                "method": method,
                "singlets": 5,
                "triplets": 3,
                "kernel_grid_level": 1,
            },
        }
    )
    started = time.process_time()
    try:
        mf = pyscf.mean_field(pyscf.molecule(atoms, 0, 1, basis), level)  # type: ignore[arg-type]
        converge(mf)
        states = excited_states(mf, level)  # type: ignore[arg-type]
    except CalculationError as error:
        return {"error": str(error), "seconds": time.process_time() - started}
    assert states is not None
    spreads, widths = (
        values.tolist()
        for values in (states.electron_spreads_angstrom, states.electron_widths_angstrom)
    )
    n = len(states.singlet_energies_ev)
    return {
        "singlets_ev": states.singlet_energies_ev.tolist(),
        "triplets_ev": states.triplet_energies_ev.tolist(),
        "oscillator_strengths": states.oscillator_strengths.tolist(),
        "singlet_spreads_angstrom": spreads[:n],
        "triplet_spreads_angstrom": spreads[n:],
        "singlet_widths_angstrom": widths[:n],
        "triplet_widths_angstrom": widths[n:],
        "flags": list(states.excitation_flags),
        "seconds": time.process_time() - started,
    }


# ---------------------------------------------------------------- report


def valence(row: Any, spin: str) -> float:
    """The lowest root (eV) that is no Rydberg state; NaN where all are."""
    energies = getattr(row, f"{spin}s_ev")
    if not isinstance(energies, list):
        return np.nan
    sizes = (getattr(row, f"{spin}_{figure}_angstrom") for figure in ("spreads", "widths"))
    local = [e for e, *size in zip(energies, *sizes, strict=True) if not is_diffuse(*size)]
    return min(local, default=np.nan)


def compared(estimates: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One line a molecule and functional: S1 and T1 (valence), Rydberg S1, best and errors (eV)."""
    reference = estimates.set_index("name")
    lines = []
    for (name, functional), group in rows.groupby(["name", "functional"], sort=False):
        truth = reference.loc[name]
        line = {"name": name, "functional": functional, "geometry": group["geometry"].iloc[0]}
        for row in group.itertuples():
            if row.basis == BASES["compact"]:
                line["S1"], line["T1"] = valence(row, "singlet"), valence(row, "triplet")
            elif isinstance(row.singlets_ev, list):
                line["Rydberg"] = row.singlets_ev[0]
                line["seen_as_rydberg"] = "s1_rydberg" in row.flags
        line["S1 best"] = truth["S1_valence_eV"]
        line["T1 best"] = np.nan if is_rydberg(truth["T1_state"]) else truth["T1_eV"]
        line["Rydberg best"] = truth["S1_eV"] if is_rydberg(truth["S1_state"]) else np.nan
        lines.append(line)
    table = pd.DataFrame(lines).reindex(columns=TABLE)
    for quantity in QUANTITIES:
        table[f"{quantity} error"] = table[quantity] - table[f"{quantity} best"]
    return table


def is_rydberg(state: Any) -> bool:
    """Whether QUEST calls a state Rydberg, e.g. ``^1B_1 R n3s``."""
    return " R " in str(state)


def report(estimates: pd.DataFrame, rows: pd.DataFrame, lacking: list[str]) -> None:
    """Print the molecules, the mean absolute errors, and the inverted gaps."""
    if rows.empty:
        print("no calculation yet")
        return
    table = compared(estimates, rows)
    print(table.round(3).to_string(index=False, na_rep=""))
    if lacking:
        print(f"no geometry of {len(lacking)}: {', '.join(lacking)} (--optimise-missing)")
    inverted = set(estimates.loc[estimates["S1_eV"] < estimates["T1_eV"], "name"])
    normal = table[~table["name"].isin(inverted)]
    report_errors("mean absolute error (mean signed error; molecules), eV", normal)
    given = normal[normal["geometry"] != OWN]
    if 0 < len(given) < len(normal):
        report_errors("the same, molecules of given geometry only", given)
    seen = normal["seen_as_rydberg"].dropna()
    print(f"Rydberg S1 told as such in the diffuse basis: {int(seen.sum())} of {len(seen)}")
    print("\ninverted gaps (S1 below T1), which TDA cannot find:")
    for line in table[table["name"].isin(inverted)].to_dict("records"):
        best, here = line["S1 best"] - line["T1 best"], line["S1"] - line["T1"]
        print(f"  {line['name']:10s} {line['functional']:18s} best {best:+.3f}, TDA {here:+.3f} eV")


def report_errors(title: str, table: pd.DataFrame) -> None:
    """Errors of S1, T1, Rydberg S1 and of the gap S1 - T1, a line a functional."""
    print(f"\n{title}")
    for functional, group in table.groupby("functional", sort=False):
        words = [f"{q} {_error(group[f'{q} error'])}" for q in QUANTITIES]
        words.append(f"S1 - T1 {_error(group['S1 error'] - group['T1 error'])}")
        print(f"  {functional:18s} {', '.join(words)}")


def _error(errors: pd.Series) -> str:
    known = errors.dropna()
    if known.empty:
        return "-"
    return f"{known.abs().mean():.3f} ({known.mean():+.3f}; {len(known)})"


if __name__ == "__main__":
    main()
