"""Work on many things in processes of their own; one that kills its process ends alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")
SAID_EVERY_S = 30.0


def results(
    function: Callable[[Item], Result], items: Mapping[Key, Item], processes: int, name: str
) -> Iterator[tuple[Key, Result | None]]:
    """``function`` of each item as it comes, None of one that killed its process (memory, a fault
    of a library); says now and then how far it is.

    Where a process dies, what was under way with it is tried again, each in a process of its own.
    """
    left, started, said = dict(items), time.perf_counter(), time.perf_counter()
    for key, result in _patiently(function, left, processes):
        left.pop(key, None)
        yield key, result
        if time.perf_counter() - said > SAID_EVERY_S or not left:
            said = time.perf_counter()
            done = f"{len(items) - len(left)} of {len(items)}"
            print(f"{name}: {done}, {said - started:.0f} s", flush=True)


def _patiently(
    function: Callable[[Item], Result], left: dict[Key, Item], processes: int
) -> Iterator[tuple[Key, Result | None]]:
    try:
        yield from _in_pool(function, dict(left), processes)
    except BrokenProcessPool:
        for key, item in list(left.items()):
            try:
                yield from _in_pool(function, {key: item}, 1)
            except BrokenProcessPool:
                yield key, None


def _in_pool(
    function: Callable[[Item], Result], items: Mapping[Key, Item], processes: int
) -> Iterator[tuple[Key, Result]]:
    if not items:
        return
    with ProcessPoolExecutor(processes) as pool:
        jobs = {pool.submit(function, item): key for key, item in items.items()}
        for job in as_completed(jobs):
            yield jobs[job], job.result()
