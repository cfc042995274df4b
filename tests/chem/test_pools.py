"""Pools: order, bounded memory, and what an item that goes wrong costs."""

import math
import os
import signal
import time

import pytest

from molsieve.chem.pools import Failure, guarded_map, ordered_map


def no_preparation() -> None:
    """Nothing to prepare."""


def test_a_hanging_a_dying_and_a_raising_item_cost_only_themselves():
    assert list(guarded_map(math.sqrt, [4.0, -1.0, 9.0], 2, 60.0)) == [
        2.0,
        Failure("engine_error", "ValueError: math domain error"),
        3.0,
    ]
    died, slept = [*guarded_map(os._exit, [3], 1, 60.0), *guarded_map(time.sleep, [0.0], 1, 60.0)]
    assert died.kind == "worker_died" and "twice" in died.message and slept is None
    quick, hung = guarded_map(time.sleep, [0.0, 60.0], 1, 3.0)
    assert quick is None and hung == Failure("timeout", "stopped after 3 s")


def dies_the_first_time(marks):
    """As if the kernel, short of memory, had chosen this worker."""
    try:
        (marks / "seen").touch(exist_ok=False)
    except FileExistsError:
        return len(list(marks.iterdir()))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_killed_once_is_repeated_at_the_end(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    assert guarded_map(dies_the_first_time, folders, 2, 60.0) == [1, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_ordered_map_keeps_the_order_and_reads_ahead_only_a_little(workers):
    read = []

    def items():
        for number in range(200):
            read.append(number)
            yield float(number)

    results = ordered_map(math.sqrt, items(), workers, no_preparation, ())
    assert next(results) == 0.0
    assert len(read) <= 4 * workers
    assert list(results) == [math.sqrt(n) for n in range(1, 200)]
