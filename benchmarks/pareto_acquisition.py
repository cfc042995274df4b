"""Hypervolume against labels: acquisition with several goals against random choice, replayed.

A table of real TDA labels (``excited_state_table.py``, made first where it is missing) is the whole
space; a label costs nothing but its count. Every run starts from the same random molecules, chooses
a batch a round by the project's own acquisition functions, and is judged by the hypervolume of what
it has labelled, as a share of that of the whole table. Goals: between the table's own tenths
(``spread``), or those of ``config/demo_oled.yaml`` (``demo``). Printed first is the largest share
that a single molecule holds alone: where it is large, the figures tell who drew that molecule.

The committee is a light one in place of the workflow's heads, and starts where they do: each member
is the heads' linear fit to GFN2-xTB's orbitals, and what that leaves is learnt by a forest of
extremely randomised trees on Morgan counts and a few descriptors (S1, T1, root and logarithm of f
together), both fitted to a bootstrap sample. Its spread is calibrated as the workflow's is, on the
out-of-bag molecules.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from sklearn.ensemble import ExtraTreesRegressor

from molsieve.acquisition.goals import Belief, utilities
from molsieve.acquisition.hypervolume import hypervolume, hypervolume_contributions
from molsieve.acquisition.pareto import on_front
from molsieve.acquisition.several import SEVERAL_FUNCTIONS
from molsieve.domains.oled.objective import PROPERTIES, objective_values
from molsieve.evaluation import fit_calibration
from molsieve.loading import load_campaign
from molsieve.objective_settings import Goal
from molsieve.potential.batches import AtomsBatch
from molsieve.prediction import moderated
from molsieve.properties.definitions import label_values
from molsieve.properties.descriptors import orbital_descriptors
from molsieve.properties.linear import fit_linear, standardised

MEMBERS, TREES = 8, 40
START, BATCH, ROUNDS = 16, 8, 10
FUNCTIONS = ("random", "greedy", "scalarised_thompson", "expected_hypervolume_improvement")
DESCRIBED = ("MolLogP", "TPSA", "NumRotatableBonds", "RingCount", "NumHAcceptors", "MolMR",
             "FractionCSP3", "NumAromaticRings", "HeavyAtomCount", "MaxPartialCharge",
             "MinPartialCharge")  # fmt: skip
VISIBLE_EV = (1.8, 3.1)
DARKEST = 1e-6
"""Oscillator strength below which none is told from another."""
CAMPAIGN = Path(__file__).resolve().parents[1] / "config" / "demo_oled.yaml"


def main() -> int:
    """Print the hypervolume's share by labels, every function, and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    folder = Path("benchmarks/results/excited_states")
    parser.add_argument("--table", type=Path, default=folder / "table.parquet")
    parser.add_argument("--level", default="low", help="low: PBE0; high: CAM-B3LYP")
    parser.add_argument("--goals", choices=("spread", "demo"), default="spread")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/pareto.csv"))
    arguments = parser.parse_args()
    if not arguments.table.exists():
        script = Path(__file__).with_name("excited_state_table.py")
        command = [sys.executable, str(script), "--folder", str(arguments.table.parent)]
        subprocess.run(command, check=True)
    molecules, states = molecules_of(arguments.table, arguments.level)
    demo = load_campaign(CAMPAIGN).objective.goals  # type: ignore[attr-defined]
    space = Space(molecules, states, demo if arguments.goals == "demo" else spread_goals(states))
    print(
        f"{len(molecules)} molecules, hypervolume {space.best:.4f}, "
        f"{int(on_front(space.utilities[space.good]).sum())} on the front, "
        f"{int(space.good.sum())} better than worst by every goal; one molecule alone holds "
        f"{hypervolume_contributions(space.utilities).max() / space.best:.0%} of the hypervolume"
    )
    rows = [
        {"function": function, "repeat": repeat, "labels": labels, "share": share}
        for function in FUNCTIONS
        for repeat in range(arguments.repeats)
        for labels, share in space.replay(function, repeat)
    ]
    table = pd.DataFrame(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.out, index=False)
    print_table(table)
    return 0


def molecules_of(path: Path, level: str) -> tuple[pd.DataFrame, np.ndarray]:
    """N molecules with both roots, and (N, 4) their S1, T1 (eV), root and logarithm of f."""
    table = pd.read_parquet(path)
    table = table[(table["level"] == level) & (table["status"] == "ok")]
    table = table.drop_duplicates("smiles").sort_values("smiles").reset_index(drop=True)
    values = label_values(table, PROPERTIES)[list(PROPERTIES)]
    known = values.notna().all(axis=1)
    states = values[known].to_numpy(float)
    decades = np.log10(np.maximum(states[:, 2:] ** 2, DARKEST))
    return table.loc[known].reset_index(drop=True), np.concatenate([states, decades], axis=1)


def spread_goals(states: np.ndarray) -> dict[str, Goal]:
    """Goals between the table's tenths: small gap, large logarithm of f, S1 in the visible.

    Of a table of mostly dark molecules one bright one has nearly all of the hypervolume in f or its
    root, and a hundred labels teach neither; f spans six decades, and decades can be learnt.
    """
    values = values_of(states)
    gap, decades = values["singlet_triplet_gap"], values["log_strength"]
    distance = np.maximum(np.maximum(VISIBLE_EV[0] - values["singlet_energy"], 0.0),
                          values["singlet_energy"] - VISIBLE_EV[1])  # fmt: skip
    low, high = np.quantile(gap, [0.1, 0.9])
    dark, bright = np.quantile(decades, [0.1, 0.9])
    return {
        "singlet_triplet_gap": Goal(direction="minimise", worst=high, ideal=low),
        "log_strength": Goal(direction="maximise", worst=dark, ideal=bright),
        "singlet_energy": Goal(
            direction="window", window=VISIBLE_EV, worst=float(np.quantile(distance, 0.9))
        ),
    }


def values_of(states: np.ndarray) -> dict[str, np.ndarray]:
    """Objective → values of states (…, 4); the decimal logarithm of f beside f."""
    told = {"ground": {name: states[..., k] for k, name in enumerate(PROPERTIES)}}
    return objective_values({}, {}, {}, told) | {"log_strength": states[..., 3]}


def orbitals_of(molecules: pd.DataFrame) -> np.ndarray:
    """(N, D) what GFN2-xTB's orbitals say, as the workflow's heads hear it; rows of the table."""
    atoms = [
        Atoms(row.numbers, np.reshape(row.positions_angstrom, (-1, 3)))
        for row in molecules.itertuples()
    ]
    return orbital_descriptors(AtomsBatch.from_atoms(atoms)).numpy()


def features_of(smiles: list[str]) -> np.ndarray:
    """(N, F) folded Morgan counts of radius 2 and a few descriptors."""
    counts = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=512)
    molecules = [Chem.MolFromSmiles(s) for s in smiles]
    known = dict(Descriptors.descList)
    described = [[known[name](m) for name in DESCRIBED] for m in molecules]
    fingerprints = [counts.GetCountFingerprintAsNumPy(m) for m in molecules]
    return np.concatenate([np.array(fingerprints, float), np.array(described, float)], axis=1)


class Space:
    """The labelled table, played back."""

    def __init__(self, molecules: pd.DataFrame, states: np.ndarray, goals: dict):
        self.features = features_of(molecules["smiles"].tolist())
        self.orbitals = orbitals_of(molecules)
        self.states, self.goals = states, goals
        self.values = self.objectives(states)
        self.utilities = utilities(self.values, goals)
        self.good = (self.utilities > 0).all(axis=1)
        self.best = hypervolume(self.utilities)

    def objectives(self, states: np.ndarray) -> np.ndarray:
        """(…, D) values of the goals, of states (…, 4)."""
        values = values_of(states)
        return np.stack([values[name] for name in self.goals], axis=-1)

    def replay(self, function: str, repeat: int) -> list[tuple[int, float]]:
        """(labels, share of the hypervolume) after the start and every round."""
        labelled = list(np.random.default_rng([1, repeat]).permutation(len(self.states))[:START])
        shares = [(len(labelled), self._share(labelled))]
        for round_number in range(min(ROUNDS, (len(self.states) - START) // BATCH)):
            rng = np.random.default_rng([2, repeat, round_number])
            left = np.setdiff1d(np.arange(len(self.states)), labelled)
            scores = self._scores(function, np.array(labelled), left, rng)
            labelled += left[np.argsort(-scores, kind="stable")[:BATCH]].tolist()
            shares.append((len(labelled), self._share(labelled)))
        return shares

    def _share(self, labelled: list[int]) -> float:
        return hypervolume(self.utilities[labelled]) / self.best

    def _scores(
        self, function: str, labelled: np.ndarray, left: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        if function == "random":
            return rng.random(len(left))
        belief = self._belief(labelled, left, rng)
        known = self.utilities[labelled]
        return SEVERAL_FUNCTIONS[function](belief, known, BATCH, rng)

    def _belief(self, labelled: np.ndarray, left: np.ndarray, rng: np.random.Generator) -> Belief:
        """What the committee says of ``left``, calibrated on its out-of-bag molecules."""
        members, out_of_bag = [], []
        for _ in range(MEMBERS):
            drawn = rng.integers(len(labelled), size=len(labelled))
            told = self.objectives(self._member(labelled[drawn], rng))
            members.append(told[left])
            told = told[labelled]
            told[np.unique(drawn)] = np.nan
            out_of_bag.append(told)
        means = np.mean(members, axis=0)
        deviations = np.stack(members) - means
        seen = np.stack(out_of_bag)
        std = np.empty_like(means)
        for d in range(means.shape[1]):
            several = np.isfinite(seen[:, :, d]).sum(axis=0) > 1
            errors = np.nanmean(seen[:, several, d], axis=0) - self.values[labelled[several], d]
            spread = np.nanstd(seen[:, several, d], axis=0, ddof=1)
            calibration = fit_calibration(errors, spread, MEMBERS)
            raw = deviations[:, :, d].std(axis=0, ddof=1)
            std[:, d] = calibration["scale"] * moderated(raw, calibration)
            deviations[:, :, d] *= std[:, d] / np.where(raw > 0, raw, 1.0)
        trusted = np.ones(len(left), dtype=bool)
        return Belief(left.astype(object), means, std, means + deviations, trusted, self.goals)

    def _member(self, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(N, 4) states of the whole table, by a member fitted to the molecules ``drawn``."""
        start = fit_linear(self.orbitals[drawn], self.states[drawn][:, None])
        inputs = standardised(self.orbitals, start.mean, start.width)
        fitted = inputs @ start.weights[0].T + start.centre[0]
        left = self.states[drawn] - fitted[drawn]
        # A split is judged by the variance it takes from all outputs: in eV², f would have no say.
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, max_features=0.3,
                                     random_state=int(rng.integers(2**31)))  # fmt: skip
        forest.fit(self.features[drawn], left / start.scale)
        return fitted + start.scale * forest.predict(self.features)


def print_table(table: pd.DataFrame) -> None:
    """Mean ± standard error over repeats; gains are by repeat, as all functions share its start."""
    group = table.groupby(["labels", "function"])["share"]
    mean, error = group.mean().unstack(), group.sem().unstack()
    print("labels  " + "  ".join(f"{name:>34}" for name in FUNCTIONS))
    for labels in mean.index:
        cells = [f"{mean.loc[labels, f]:.3f} ± {error.loc[labels, f]:.3f}" for f in FUNCTIONS]
        print(f"{labels:>6}  " + "  ".join(f"{cell:>34}" for cell in cells))
    area = table.groupby(["function", "repeat"])["share"].mean().unstack()
    for name in FUNCTIONS[1:]:
        for peer in ("random", "greedy"):
            gain = (area.loc[name] - area.loc[peer]).to_numpy(float)
            spread = gain.std(ddof=1) / np.sqrt(len(gain))
            told = f"{gain.mean():+.3f} ± {spread:.3f}, better in {(gain > 0).sum()} of {len(gain)}"
            if name != peer:
                print(f"{name}: mean share over all rounds less that of {peer} {told}")
    last, final = FUNCTIONS[-1], mean.index[len(mean) // 2]
    ours, peer = mean.loc[final, last], mean.loc[final, "random"]
    print(
        f"claim: share of the hypervolume after {final} of the table's molecules are labelled | "
        f"ours: {last} {ours:.3f} ± {error.loc[final, last]:.3f} | peer: random {peer:.3f} ± "
        f"{error.loc[final, 'random']:.3f} | ratio: {ours / peer:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
