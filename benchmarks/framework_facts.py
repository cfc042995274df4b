"""All IZA frameworks: read, sites, density, rings, pores; agreement with the reference table.

Reads every CIF file of ``iza_cif`` in the folder of reference data (``MOLSIEVE_DATA``; default
``../shared/data``) and sets space group, numbers of T- and O-sites, T atoms a cell and framework
density of the relaxed files beside ``../facts/REFERENCES.md`` next to that folder (section 3);
the typed-in idealised frameworks beside the same table's idealised densities. Refused files are
listed with their reason. Times are CPU seconds of one process.

    python benchmarks/framework_facts.py [CODE ...]

The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

from molsieve.crystals.cif import read_framework
from molsieve.crystals.framework import Framework, FrameworkError, primitive
from molsieve.crystals.known import known_codes, known_framework
from molsieve.crystals.pores import Pores, pores
from molsieve.crystals.rings import Rings, rings
from molsieve.crystals.symmetry import o_sites, symmetry_of, t_sites

DATA = Path(os.environ.get("MOLSIEVE_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROW = re.compile(r"\|([A-Z]{3})\|([^|]+)\|(\d+)\|(\d+)\|(\d+)\|([\d.]+)\|([\d.]+)\|")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Facts:
    """What the reference table says of a framework; density in T atoms per 1000 Å³."""

    space_group: str
    t_sites: int
    o_sites: int
    t_atoms: int
    density: float


class Stages:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def timed(self, stage: str, work: Callable[[], Value]) -> Value:
        """Do the work, its time on the stage's account."""
        start = time.process_time()
        try:
            return work()
        finally:
            self.seconds[stage] += time.process_time() - start


def reference_facts() -> tuple[dict[str, Facts], dict[str, Facts]]:
    """The table of idealised frameworks and that of the relaxed files."""
    text = (DATA.parent / "facts" / "REFERENCES.md").read_text("utf-8")
    idealised, relaxed = {}, {}
    for code, group, t, o, atoms, density, relaxed_density in ROW.findall(text):
        facts = (group, int(t), int(o), int(atoms))
        idealised[code] = Facts(*facts, float(density))
        relaxed[code] = Facts(*facts, float(relaxed_density))
    return idealised, relaxed


def facts_of(framework: Framework) -> Facts:
    """The same of a framework, density rounded as in the table."""
    symmetry = symmetry_of(framework)
    return Facts(
        symmetry.space_group,
        len(t_sites(framework, symmetry)),
        len(o_sites(framework, symmetry)),
        len(framework.t_index),
        round(framework.density_t_per_1000_angstrom3, 2),
    )


def framework_rows(
    paths: list[Path], stages: Stages, refused: list[str]
) -> Iterator[tuple[str, Facts, Rings, Pores]]:
    """Everything known of each file that is not refused."""
    for path in paths:
        try:
            framework = stages.timed("read and check", lambda p=path: read_framework(p))
        except FrameworkError as error:
            refused.append(str(error))
            continue
        facts = stages.timed("T- and O-sites", lambda f=framework: facts_of(f))
        found = stages.timed("rings", lambda f=framework: rings(primitive(f)))
        void = stages.timed("pores", lambda f=framework: pores(f))
        yield framework.name, facts, found, void


def show(code: str, facts: Facts, found: Rings, void: Pores) -> None:
    """One line of the listing."""
    sizes = "-".join(str(size) for size in sorted(found.per_cell))
    print(
        f"{code:4s} {facts.space_group:10s} T {facts.t_sites:3d} O {facts.o_sites:4d} "
        f"FD {facts.density:5.2f}  rings {sizes:14s} cage {void.largest_included_angstrom:5.2f} "
        f"channel {void.largest_free_angstrom:5.2f} Å, {void.dimensionality()} dimensions",
        flush=True,
    )


def agreement(found: dict[str, Facts], expected: dict[str, Facts], what: str) -> tuple[int, int]:
    """How many agree in everything, of how many; prints those that do not."""
    common = [code for code in expected if code in found]
    for code in common:
        if found[code] != expected[code]:
            print(f"disagrees ({what}): {code} {found[code]}, table {expected[code]}")
    return sum(found[code] == expected[code] for code in common), len(common)


def main() -> int:
    """Print the listing, agreement, refusals, times, and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codes", nargs="*", help="only these framework types")
    codes = parser.parse_args().codes
    paths = sorted((DATA / "iza_cif").glob("*.cif"))
    paths = [path for path in paths if not codes or path.stem in codes]
    if not paths:
        print(f"skipped: no CIF file in {DATA / 'iza_cif'}; MOLSIEVE_DATA names the data's folder")
        return 0
    idealised, relaxed = reference_facts()
    stages, refused, facts, largest = Stages(), [], {}, Counter[int]()
    for code, of_code, found, void in framework_rows(paths, stages, refused):
        show(code, of_code, found, void)
        facts[code] = of_code
        largest[found.largest] += 1
    typed_in = {code: facts_of(known_framework(code)) for code in known_codes()}
    print("\nlargest ring: " + ", ".join(f"{s}: {n}" for s, n in sorted(largest.items())))
    print(f"refused: {len(refused)}", *refused, sep="\n  ")
    same, of = agreement(facts, relaxed, "relaxed file")
    same_typed, of_typed = agreement(typed_in, idealised, "typed in")
    for stage, seconds in stages.seconds.items():
        print(
            f"{stage:15s} {seconds:7.1f} s CPU, {1000 * seconds / len(paths):6.0f} ms a framework"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory {peak:.0f} MB; idealised, typed in: {same_typed} of {of_typed} agree")
    ratio = same / of if of else float("nan")
    print(
        f"claim: of {len(paths)} IZA frameworks read with {len(refused)} refused, those whose "
        "space group, T-sites, O-sites, T atoms and density equal the reference table's"
        f" | ours: {same} | peer: {of} in the table | ratio: {ratio:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
