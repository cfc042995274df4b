"""Training speed and accuracy: our committee against SchNetPack's own trainer.

Same machine, core, data, split and model (PaiNN, 64 features, 3 interactions, 20 radial functions,
5 Å); one thread. A member has one core on both sides, which is how a committee uses all the cores
of a machine. The peer trains each member for ``--minutes`` of its own wall time, tests not counted.
Ours is a whole training whose schedule is fitted to a share of that time, once for each of
``--shares``: the shortest at least as good as the peer, by the members' mean test force error, is
the time to the peer's error. Printed too: structures a second, and errors of the committee means.

    python benchmarks/training_speed.py [--data ethanol acac] [--members 2 4] [--minutes 10]
                                        [--shares 0.025 0.05 0.25] [--peer FOLDER]

``--peer`` keeps the peer's members in a folder (JSON curve, npz predictions) and reads those it
finds, so that our side can be run again, on the same machine, without the hour of the peer.

The last line is ``claim: ... | ours: ... | peer: ... | ratio: ...``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from training import data, ours, peer

RESULTS = Path(__file__).parent / "results" / "training_speed"


def main() -> int:
    """Print a table for each data set and the claim; 0 also where the data are absent."""
    arguments = parse()
    if not data.FOLDER.exists():
        print(
            f"skipped: {data.FOLDER} is absent; set MOLSIEVE_DATA to the folder of reference data"
        )
        return 0
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    asked = zip(arguments.data, arguments.members, strict=True)
    found = [measure(data.load(name), members, arguments) for name, members in asked]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "summary.json").write_text(json.dumps(found, indent=1))
    print(claim(found, arguments))
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=data.NAMES, default=list(data.NAMES))
    parser.add_argument("--minutes", type=float, default=10.0, help="of the peer, a member")
    parser.add_argument("--members", nargs="+", type=int, default=[2, 4], help="a data set")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.025, 0.05, 0.25])
    parser.add_argument("--peer", type=Path, default=RESULTS / "peer", help="folder to keep it in")
    return parser.parse_args()


def measure(frames: data.Data, members: int, arguments: argparse.Namespace) -> dict:
    """Train both sides on one data set and print their table."""
    seconds = 60 * arguments.minutes
    theirs = [peer_member(frames, seconds, m, arguments.peer) for m in range(members)]
    rows = [row(frames, "SchNetPack", theirs, [run["curve"][-1]["seconds"] for run in theirs])]
    print_row(frames, rows[0])
    for share in sorted(arguments.shares):
        runs = [ours.train(frames, share * seconds, m) for m in range(members)]
        rows.append(row(frames, "ours", runs, [run["seconds"] for run in runs]))
        print_row(frames, rows[-1])
    return {"data": frames.name, "rows": rows}


def peer_member(frames: data.Data, seconds: float, member: int, folder: Path) -> dict:
    """A member of the peer's, from the folder or trained and left there."""
    stem = folder / f"{frames.name}_{seconds / 60:g}min_{member}"
    if not stem.with_suffix(".npz").exists():
        run = peer.train(frames, seconds, member)
        arrays = {
            f"{test}|{what}": values
            for test, pair in run.pop("predictions").items()
            for what, values in zip(("energies", "forces"), pair, strict=True)
        }
        folder.mkdir(parents=True, exist_ok=True)
        Path(f"{stem}.json").write_text(json.dumps(run))
        np.savez(f"{stem}.npz", **arrays)
    arrays = np.load(f"{stem}.npz")
    predictions = {t: (arrays[f"{t}|energies"], arrays[f"{t}|forces"]) for t in frames.tests}
    return {**json.loads(Path(f"{stem}.json").read_text()), "predictions": predictions}


def row(frames: data.Data, name: str, runs: list[dict], seconds: list[float]) -> dict:
    """What one side did: means over the members, and errors of the committee mean by test."""
    members, committee = {}, {}
    for test, tested in frames.tests.items():
        predictions = [run["predictions"][test] for run in runs]
        each = [data.errors(*prediction, tested) for prediction in predictions]
        members[test] = {key: float(np.mean([e[key] for e in each])) for key in each[0]}
        mean = (np.mean([p[which] for p in predictions], axis=0) for which in (0, 1))
        committee[test] = data.errors(*mean, tested)
    return {
        "side": name,
        "settings": runs[0]["settings"],
        "seconds": float(np.mean(seconds)),
        "epochs": float(np.mean([run["epochs"] for run in runs])),
        "structures_per_s": float(np.mean([run["structures_per_s"] for run in runs])),
        "members": members,
        "committee": committee,
    }


def print_row(frames: data.Data, found: dict) -> None:
    """One line: time, speed, and root mean square errors, members' mean and committee's."""
    tests = [
        f"{test}: F {found['members'][test]['force_rmse']:.1f} "
        f"(committee {found['committee'][test]['force_rmse']:.1f}) meV/Å, "
        f"E {found['members'][test]['energy_rmse']:.1f} "
        f"({found['committee'][test]['energy_rmse']:.1f}) meV"
        for test in frames.tests
    ]
    print(
        f"{found['side']:10s} {found['seconds']:6.0f} s a member, {found['epochs']:4.0f} epochs, "
        f"{found['structures_per_s']:5.0f} structures/s | " + " | ".join(tests),
        flush=True,
    )


def claim(found: list[dict], arguments: argparse.Namespace) -> str:
    """The last line."""
    parts: dict[str, list[str]] = {"ours": [], "peer": [], "ratio": []}
    for result in found:
        theirs, *runs = result["rows"]
        test = next(iter(theirs["members"]))
        target = theirs["members"][test]["force_rmse"]
        good = [run for run in runs if run["members"][test]["force_rmse"] <= target]
        chosen = good[0] if good else runs[-1]
        times = theirs["seconds"] / chosen["seconds"]
        speed = chosen["structures_per_s"] / theirs["structures_per_s"]
        reached = f"{chosen['members'][test]['force_rmse']:.1f} meV/Å"
        parts["ours"].append(
            f"{result['data']} {chosen['seconds']:.0f} s ({reached}), "
            f"{chosen['structures_per_s']:.0f} structures/s"
        )
        parts["peer"].append(
            f"{result['data']} {theirs['seconds']:.0f} s ({target:.1f} meV/Å), "
            f"{theirs['structures_per_s']:.0f} structures/s"
        )
        missed = "" if good else " (error not reached)"
        parts["ratio"].append(f"{result['data']} {times:.1f} in time{missed}, {speed:.1f} in speed")
    title = (
        f"claim: PaiNN 64x3, one core a member: time to the test force error SchNetPack's trainer "
        f"has after {arguments.minutes:g} minutes a member"
    )
    return " | ".join([title, *(f"{key}: {'; '.join(values)}" for key, values in parts.items())])


if __name__ == "__main__":
    sys.exit(main())
