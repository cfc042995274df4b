"""Spawned worker pools: ordered and memory-bounded, or guarded by a time limit an item."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

Item = TypeVar("Item")
Result = TypeVar("Result")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Failure:
    """Why a worker gave no result: kind timeout, worker_died or engine_error."""

    kind: str
    message: str


def one_thread_a_worker() -> None:
    """Spawned children inherit one thread each: the pool is the parallelism."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    initializer: Callable[..., None],
    initargs: tuple[Any, ...],
) -> Iterator[Result]:
    """``map`` over spawned workers, in order, never more than four items a worker in flight."""
    if workers == 1:
        initializer(*initargs)
        yield from map(function, items)
        return
    one_thread_a_worker()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer, initargs) as pool:
        pending: deque = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def guarded_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, time_limit_s: float
) -> list[Result | Failure]:
    """``map`` over spawned workers, in order; an item that hangs, dies or raises costs itself.

    One whose worker died is repeated once, at the end, with nothing beside it: a kernel short of
    memory kills without saying whose fault that is.
    """
    one_thread_a_worker()
    tasks = list(items)
    outcomes = _outcomes(function, tasks, workers, time_limit_s)
    died = [n for n, outcome in enumerate(outcomes) if _is_death(outcome)]
    if died:
        again = _outcomes(function, [tasks[n] for n in died], 1, time_limit_s)
        for n, outcome in zip(died, again, strict=True):
            outcomes[n] = outcome
    return outcomes


def _outcomes(
    function: Callable[[Item], Result], tasks: list[Item], workers: int, time_limit_s: float
) -> list[Result | Failure]:
    context = multiprocessing.get_context("spawn")
    with ProcessPool(max_workers=workers, context=context) as pool:
        futures = [pool.schedule(function, args=[task], timeout=time_limit_s) for task in tasks]
        try:
            return [_result_or_failure(future, time_limit_s) for future in futures]
        except BaseException:
            pool.stop()  # or leaving the pool would first finish everything that is queued
            raise


def _is_death(outcome: object) -> bool:
    return isinstance(outcome, Failure) and outcome.kind == "worker_died"


def _result_or_failure(future: ProcessFuture, time_limit_s: float) -> Any:
    try:
        return future.result()
    except TimeoutError:
        return Failure("timeout", f"stopped after {time_limit_s:g} s")
    except ProcessExpired as error:
        return Failure("worker_died", f"its worker died twice, exit code {error.exitcode}")
    except Exception as error:
        return Failure("engine_error", f"{type(error).__name__}: {error}")
