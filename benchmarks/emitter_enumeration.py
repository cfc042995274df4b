"""Enumeration of emitters: CPU time, memory and uniqueness of config/oled.yaml's stream.

The first raw donor-bridge-acceptor molecules of the campaign are joined, read, filtered and written
to as many shards as the campaign has, by one process. Then

unique      no identity (canonical SMILES) is in two rows, and among the candidates of the most
            frequent masses none is another one's InChI (an independent canonical form, hydrogens
            fixed): equal molecules have equal masses, so that no duplicate of theirs is missed
streamed    the peak memory after a tenth of the raw molecules, and at the end

and where the time goes, step by step, on molecules drawn from the whole space.

    python benchmarks/emitter_enumeration.py [--limit 1000000]

CPU seconds, so that other work on the machine counts little. The last line is
``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem import inchi

from molsieve.chem.descriptors import sa_score
from molsieve.chem.fingerprints import morgan_fingerprint
from molsieve.chem.molecules import canonical_smiles, parse_molecule
from molsieve.domains.oled import candidates, config, filters, sample, spool
from molsieve.loading import load_campaign
from molsieve.tables import read_table

CAMPAIGN = Path(__file__).resolve().parents[1] / "config" / "oled.yaml"
COMPARED, DRAWN = 5_000, 1_000
"""Candidates compared by their InChI; molecules that the steps are timed on."""


def main() -> None:
    """Enumerate, check, time the steps; the claim last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=100_000, help="raw molecules")
    limit = parser.parse_args().limit
    campaign = load_campaign(CAMPAIGN)
    assert isinstance(campaign, config.Campaign)
    space = campaign.candidates
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / f"{shard}.parquet" for shard in range(space.shards)]
        peaks: list[float] = []
        before = time.process_time()
        counts = spool.write_shards(watched(space, limit, peaks), outputs, "benchmark")
        cpu_s, peak_mb = time.process_time() - before, memory_mb()
        told = ", ".join(f"{reason} {n:,}" for reason, n in counts.most_common(8))
        print(f"{sum(counts.values()):,} different molecules: {told}")
        print(f"{cpu_s:.0f} CPU-s; peak memory by tenths, MB: {[round(p) for p in peaks]}")
        compared, equal = equal_molecules(outputs)
    print(f"{compared:,} candidates compared by their InChI: {equal} that another one has")
    steps(space)
    print(
        f"claim: {limit:,} raw donor-bridge-acceptor molecules enumerated, filtered, unique, one "
        f"process | ours: {cpu_s:.0f} CPU-s, {limit / cpu_s:,.0f} molecules/s, "
        f"{counts['accepted']:,} accepted, {equal} of {compared:,} twice by InChI, peak "
        f"{peak_mb:.0f} MB ({peaks[0]:.0f} MB after the first tenth) | peer: – | ratio: –"
    )


def watched(space: config.Candidates, limit: int, peaks: list[float]) -> Iterator[dict]:
    """Rows of the first ``limit`` raw molecules; the peak memory goes to ``peaks`` by tenths."""
    stream = itertools.islice(candidates.screened_candidates(space), limit)
    for done, row in enumerate(stream, start=1):
        yield row
        if done % max(1, limit // 10) == 0:
            peaks.append(memory_mb())


def memory_mb() -> float:
    """The largest resident size of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def equal_molecules(outputs: list[Path]) -> tuple[int, int]:
    """(candidates compared, those whose InChI another has), of the most frequent masses.

    Raises:
        AssertionError: an identity is in two rows.
    """
    columns = ["candidate_id", "identifier", "mass_dalton", "status"]
    frame = pd.concat([read_table(path, "candidates", columns=columns) for path in outputs])
    assert frame["candidate_id"].is_unique and frame["identifier"].is_unique
    accepted = frame[frame["status"] == "accepted"]
    masses = accepted["mass_dalton"].round(3)
    frequent = masses.value_counts()
    chosen = frequent[frequent.cumsum() <= max(COMPARED, frequent.iloc[0])].index
    smiles = accepted.loc[masses.isin(chosen), "identifier"]
    with rdBase.BlockLogs():
        keys = Counter(inchi.MolToInchiKey(Chem.MolFromSmiles(s), "/FixedH") for s in smiles)
    return len(smiles), sum(n for n in keys.values() if n > 1)


def steps(space: config.Candidates) -> None:
    """Print the milliseconds a molecule of each step, on molecules drawn from the whole space."""
    assert isinstance(space.source, config.Fragments)
    draw, rng = sample.drawer(space.source), random.Random(1)
    texts = [draw(rng) for _ in range(DRAWN)]
    molecules = [parse_molecule(text) for text in texts]
    screen = filters.Screen(space.filters)
    accepted = [
        molecule
        for text, molecule in zip(texts, molecules, strict=True)
        if screen.row(text, "")["status"] == "accepted"
    ]
    patterns = [pattern for _, pattern in filters.compile_alerts(space.filters)]

    def alerts(molecule: Chem.Mol) -> None:
        for pattern in patterns:
            molecule.HasSubstructMatch(pattern)

    print(f"{len(accepted) / DRAWN:.0%} accepted of {DRAWN:,} drawn; CPU-ms a molecule")
    timed("all: read and sanitise", parse_molecule, texts)
    timed("all: canonical SMILES", canonical_smiles, molecules)
    timed("accepted: alerts", alerts, accepted)
    timed("accepted: SA score", sa_score, accepted)
    timed("accepted: fingerprint", morgan_fingerprint, accepted)


def timed(name: str, step: Callable, inputs: list) -> None:
    """Print the CPU time of a step, ms an input."""
    before = time.process_time()
    for entry in inputs:
        step(entry)
    print(f"  {name:30s} {1e3 * (time.process_time() - before) / len(inputs):.2f}")


if __name__ == "__main__":
    main()
