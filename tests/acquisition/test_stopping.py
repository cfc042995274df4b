"""Every branch of the verdict."""

import subprocess
import sys

import pytest

from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Stop

STOP = Stop(
    max_rounds=6, max_labels=500, top_k=2, expected_missed=0.5, consecutive_rounds=2,
    levelled_change=0.1,
)  # fmt: skip


def figures(missed=0.1, mae=0.05, interval=None, selectable=10, attempted=100, calibrated=True):
    return {
        "n_candidates": 30,
        "calibrated": calibrated,
        "n_selectable": selectable,
        "n_labelled_candidates": 20,
        "labels_attempted_total": attempted,
        "expected_missed": [missed, missed, missed],
        "random_test_mae": mae,
        "random_test_mae_interval": interval,
    }


def test_nothing_assessed_goes_on():
    assert not verdict([], STOP, 50).stop


def test_converged():
    found = verdict([figures(), figures()], STOP, 50)
    assert found.stop
    assert found.reason.startswith("converged: 0.10 unlabelled candidates")
    assert "top 2" in found.reason


@pytest.mark.parametrize(
    ("rounds", "why"),
    [
        ([figures(missed=0.6), figures()], "low for 1 of 2 rounds"),
        ([figures(), figures(missed=0.6)], "low for 0 of 2 rounds"),
        ([figures(missed=None), figures()], "low for 1 of 2 rounds"),
        ([figures(), figures(missed=None)], "is unknown"),
        ([figures(), figures(calibrated=False)], "spread is not calibrated"),
        ([figures(calibrated=False), figures()], "low for 1 of 2 rounds"),
        ([figures(mae=0.08), figures()], "not levelled"),
        ([figures(mae=None), figures()], "not known for two rounds"),
        ([figures(mae=0.08), figures(interval=[0.04, 0.06])], "not levelled"),
        ([figures()], "low for 1 of 2 rounds"),
    ],
)
def test_goes_on_and_says_why(rounds, why):
    found = verdict(rounds, STOP, 50)
    assert not found.stop
    assert found.reason.startswith("goes on: ")
    assert why in found.reason


def test_a_change_within_the_interval_is_levelled():
    found = verdict([figures(mae=0.08), figures(interval=[0.03, 0.09])], STOP, 50)
    assert found.stop
    assert "within its interval" in found.reason


def test_a_falling_and_a_rising_error_are_alike():
    falling = verdict([figures(mae=0.08), figures(mae=0.05)], STOP, 50)
    rising = verdict([figures(mae=0.05), figures(mae=0.08)], STOP, 50)
    assert not falling.stop
    assert not rising.stop


def test_errors_of_zero_are_levelled():
    assert verdict([figures(mae=0.0), figures(mae=0.0)], STOP, 50).stop
    assert not verdict([figures(mae=0.0), figures(mae=0.1)], STOP, 50).stop


def test_round_limit():
    rounds = [figures(missed=3.0)] * 6
    found = verdict(rounds, STOP, 50)
    assert found.stop
    assert found.reason.startswith("round limit: 6 rounds")
    assert not verdict(rounds[:5], STOP, 50).stop


def test_budget():
    rounds = [figures(missed=3.0, attempted=451)]
    found = verdict(rounds, STOP, 50)
    assert found.stop
    assert found.reason.startswith("budget: 451 labels are spent and 50 more")
    assert not verdict(rounds, STOP, 49).stop


def test_nothing_left():
    found = verdict([figures(missed=3.0, selectable=0)], STOP, 50)
    assert found.stop
    assert found.reason.startswith("nothing left to label of 30 candidates: 20 are labelled")


def test_a_top_k_beyond_the_figures_is_unknown():
    far = STOP.model_copy(update={"top_k": 4})
    assert not verdict([figures(), figures()], far, 50).stop


def test_one_round_may_suffice_when_asked():
    once = STOP.model_copy(update={"consecutive_rounds": 1})
    assert verdict([figures(missed=9.0), figures()], once, 50).stop


def test_a_tighter_threshold_undoes_a_stop():
    rounds = [figures(), figures()]
    tight = STOP.model_copy(update={"expected_missed": 0.05})
    assert verdict(rounds, STOP, 50).stop
    assert not verdict(rounds, tight, 50).stop


def test_parsing_the_workflow_stays_cheap():
    code = (
        "import sys, molsieve.acquisition.stopping\n"
        "print([m for m in ('numpy', 'pandas', 'scipy', 'torch', 'rdkit') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
