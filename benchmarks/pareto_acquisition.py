"""Hypervolume against labels: acquisition with several goals against random choice, replayed.

A table of real TDA labels (``excited_state_table.py``, made first where it is missing) is the whole
space; a label costs nothing but its count. Every run starts from the same random molecules, chooses
a batch a round by the project's own acquisition functions, and is judged by the hypervolume of what
it has labelled, as a share of that of the whole table. Goals: between the table's own tenths
(``spread``), or those of ``config/demo_oled.yaml`` (``demo``).

The committee is a light one, not the workflow's: each member a forest of extremely randomised
trees (S1, T1 and the root of f together) on Morgan counts and a few descriptors, fitted to its own
bootstrap sample; its spread is calibrated as the workflow's is, on the out-of-bag molecules.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator
from sklearn.ensemble import ExtraTreesRegressor

from molsieve.acquisition.goals import Belief, utilities
from molsieve.acquisition.hypervolume import hypervolume
from molsieve.acquisition.pareto import on_front
from molsieve.acquisition.several import SEVERAL_FUNCTIONS
from molsieve.domains.oled.objective import PROPERTIES, objective_values
from molsieve.evaluation import fit_calibration
from molsieve.loading import load_campaign
from molsieve.objective_settings import Goal
from molsieve.prediction import moderated
from molsieve.properties.definitions import label_values

MEMBERS, TREES = 8, 40
START, BATCH, ROUNDS = 16, 8, 10
FUNCTIONS = ("random", "greedy", "scalarised_thompson", "expected_hypervolume_improvement")
DESCRIBED = ("MolLogP", "TPSA", "NumRotatableBonds", "RingCount", "NumHAcceptors", "MolMR",
             "FractionCSP3", "NumAromaticRings", "HeavyAtomCount", "MaxPartialCharge",
             "MinPartialCharge")  # fmt: skip
VISIBLE_EV = (1.8, 3.1)
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
    smiles, states = molecules_of(arguments.table, arguments.level)
    demo = load_campaign(CAMPAIGN).objective.goals  # type: ignore[attr-defined]
    space = Space(smiles, states, demo if arguments.goals == "demo" else spread_goals(states))
    print(
        f"{len(smiles)} molecules, hypervolume {space.best:.4f}, "
        f"{int(on_front(space.utilities[space.good]).sum())} on the front, "
        f"{int(space.good.sum())} better than worst by every goal"
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


def molecules_of(path: Path, level: str) -> tuple[list[str], np.ndarray]:
    """SMILES and (N, 3) S1, T1 (eV) and root of f, of the molecules with both roots."""
    table = pd.read_parquet(path)
    table = table[(table["level"] == level) & (table["status"] == "ok")]
    table = table.drop_duplicates("smiles").sort_values("smiles").reset_index(drop=True)
    values = label_values(table, PROPERTIES)[list(PROPERTIES)]
    known = values.notna().all(axis=1)
    return table.loc[known, "smiles"].tolist(), values[known].to_numpy(float)


def spread_goals(states: np.ndarray) -> dict[str, Goal]:
    """Goals between the table's tenths: small gap, large root of f, S1 in the visible.

    Of a table of mostly dark molecules one bright one has nearly all of the hypervolume in f.
    """
    values = values_of(states)
    gap, root = values["singlet_triplet_gap"], values["root_of_strength"]
    distance = np.maximum(np.maximum(VISIBLE_EV[0] - values["singlet_energy"], 0.0),
                          values["singlet_energy"] - VISIBLE_EV[1])  # fmt: skip
    low, high = np.quantile(gap, [0.1, 0.9])
    return {
        "singlet_triplet_gap": Goal(direction="minimise", worst=high, ideal=low),
        "root_of_strength": Goal(
            direction="maximise", worst=-0.01, ideal=float(np.quantile(root, 0.9))
        ),
        "singlet_energy": Goal(
            direction="window", window=VISIBLE_EV, worst=float(np.quantile(distance, 0.9))
        ),
    }


def values_of(states: np.ndarray) -> dict[str, np.ndarray]:
    """Objective → values of states (…, 3); the root of f beside f."""
    told = {"ground": {name: states[..., k] for k, name in enumerate(PROPERTIES)}}
    return objective_values({}, {}, {}, told) | {"root_of_strength": states[..., 2]}


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

    def __init__(self, smiles: list[str], states: np.ndarray, goals: dict):
        self.features, self.states, self.goals = features_of(smiles), states, goals
        self.values = self.objectives(states)
        self.utilities = utilities(self.values, goals)
        self.good = (self.utilities > 0).all(axis=1)
        self.best = hypervolume(self.utilities)

    def objectives(self, states: np.ndarray) -> np.ndarray:
        """(…, D) values of the goals, of states (…, 3)."""
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
            forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, max_features=0.3,
                                         random_state=int(rng.integers(2**31)))  # fmt: skip
            forest.fit(self.features[labelled[drawn]], self.states[labelled[drawn]])
            members.append(self.objectives(forest.predict(self.features[left])))
            told = self.objectives(forest.predict(self.features[labelled]))
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


def print_table(table: pd.DataFrame) -> None:
    """Mean ± standard error over repeats; the gain over random by repeat, which share a start."""
    group = table.groupby(["labels", "function"])["share"]
    mean, error = group.mean().unstack(), group.sem().unstack()
    print("labels  " + "  ".join(f"{name:>34}" for name in FUNCTIONS))
    for labels in mean.index:
        cells = [f"{mean.loc[labels, f]:.3f} ± {error.loc[labels, f]:.3f}" for f in FUNCTIONS]
        print(f"{labels:>6}  " + "  ".join(f"{cell:>34}" for cell in cells))
    area = table.groupby(["function", "repeat"])["share"].mean().unstack()
    for name in FUNCTIONS[1:]:
        gain = (area.loc[name] - area.loc["random"]).to_numpy(float)
        spread = gain.std(ddof=1) / np.sqrt(len(gain))
        told = f"{gain.mean():+.3f} ± {spread:.3f}"
        print(f"{name}: mean share over all rounds less random's {told}")
    last, final = FUNCTIONS[-1], mean.index[len(mean) // 2]
    ours, peer = mean.loc[final, last], mean.loc[final, "random"]
    print(
        f"claim: share of the hypervolume after {final} of the table's molecules are labelled | "
        f"ours: {last} {ours:.3f} ± {error.loc[final, last]:.3f} | peer: random {peer:.3f} ± "
        f"{error.loc[final, 'random']:.3f} | ratio: {ours / peer:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
