import os
import signal
import time

import pytest

from molsieve.labelling.stopping import HAND_IN_S, Stopping, stopped_by_signals


def test_without_a_deadline_nothing_stops():
    stopping = Stopping.before(None, 60.0)
    assert not stopping and stopping.kill_at == float("inf")


def test_work_stops_by_the_margin_and_calculations_in_time_to_hand_in():
    stopping = Stopping.before(1000.0, 60.0)
    assert (stopping.at, stopping.kill_at) == (940.0, 1000.0 - HAND_IN_S)
    assert stopping and not stopping.asked
    short = Stopping.before(1000.0, 10.0)
    assert short.at == short.kill_at == 990.0


@pytest.mark.parametrize(
    "number, grace_s, given_s",
    [(signal.SIGTERM, 20.0, 20.0), (signal.SIGINT, 20.0, 5.0), (signal.SIGINT, 1.0, 1.0)],
)
def test_signal_gives_what_runs_its_grace(number, grace_s, given_s):
    stopping = Stopping()
    before = signal.getsignal(number)
    with stopped_by_signals(stopping, grace_s):
        sent_at = time.time()
        os.kill(os.getpid(), number)
        assert stopping.asked and stopping
        assert sent_at + given_s <= stopping.kill_at <= time.time() + given_s
    assert signal.getsignal(number) == before


def test_second_sigterm_stops_at_once():
    stopping = Stopping()
    with stopped_by_signals(stopping, 20.0):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.kill_at <= time.time()


def test_signal_never_puts_the_end_off():
    stopping = Stopping.before(time.time() + 40.0, 39.0)
    kill_at = stopping.kill_at
    with stopped_by_signals(stopping, 3600.0):
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopping.kill_at == kill_at
