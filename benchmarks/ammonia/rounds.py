"""Rounds of choosing, labelling and training; both aims judged after each."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from ammonia.choices import BUDGET, METHODS, SANE, TRAJECTORIES, sane_share
from ammonia.committee import mean_energies, trained
from ammonia.oracle import Oracle, barrier, labelled, start_frames

MAX_LABELS = 100
BARRIER_ERROR_EV = 0.010


def first_round(repeat: int) -> dict:
    """The row of the start, which all methods share: no label added."""
    torch.set_num_threads(1)
    started, oracle = time.perf_counter(), Oracle()
    committee = trained(start_frames(oracle, repeat), 1000 * repeat)
    height = barrier(mean_energies(committee))
    return {
        "method": "start",
        "repeat": repeat,
        "added": 0,
        "barrier_ev": height,
        "error_ev": height - barrier(oracle.energies),
        "sane": sane_share(committee, 1000 * repeat),
        "seconds": time.perf_counter() - started,
    }


def run(method: str, start: dict) -> Iterator[dict]:
    """Rounds of one method and repeat until both aims are reached or the labels are spent.

    Yields:
        A row a round: added labels, the barrier and its error (eV), the share of sane trajectories
        (None once (a) has been reached), seconds.
    """
    torch.set_num_threads(1)
    repeat, oracle = start["repeat"], Oracle()
    truth, frames = barrier(oracle.energies), start_frames(oracle, repeat)
    steady, near = is_sane(start), int(is_near(start))
    committee, added = trained(frames, 1000 * repeat), 0
    for round_ in range(1, MAX_LABELS // BUDGET + 1):
        clock, seed = time.perf_counter(), 1000 * repeat + round_
        places = METHODS[method](committee, frames, seed)
        added += len(places)
        frames = frames + labelled(oracle, places)
        committee = trained(frames, seed)
        height = barrier(mean_energies(committee))
        row = {
            "method": method,
            "repeat": repeat,
            "round": round_,
            "added": added,
            "barrier_ev": height,
            "error_ev": height - truth,
            "sane": None if steady else sane_share(committee, seed),
            "seconds": time.perf_counter() - clock,
        }
        yield row
        steady = steady or is_sane(row)
        near = near + 1 if is_near(row) else 0
        if steady and near >= 2:
            return


def is_sane(row: dict) -> bool:
    """Whether a round reached (a): enough trajectories end sane."""
    return row["sane"] is not None and row["sane"] >= SANE / TRAJECTORIES - 1e-9


def is_near(row: dict) -> bool:
    """Whether a round's barrier is right, (b)."""
    return abs(row["error_ev"]) <= BARRIER_ERROR_EV
