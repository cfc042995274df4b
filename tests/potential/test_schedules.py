import pytest

from molsieve import campaign
from molsieve.potential.schedules import cosine_rate, loss_weights

FULL = {"energy_weight": 2.0, "force_weight": 3.0, "difference_weight": 5.0, "stress_weight": 7.0}


def at(progress, **settings):
    return tuple(loss_weights(campaign.Potential(**(FULL | settings)), progress))


def test_forces_come_first_and_energies_have_their_full_weight_at_the_end():
    schedule = {"early_energies": 0.01, "forces_first": 0.6}
    for early in (0.0, 0.3, 0.6):
        assert at(early, **schedule) == pytest.approx((0.02, 3.0, 0.05, 7.0))
    # Half of the way up in the logarithm.
    assert at(0.8, **schedule) == pytest.approx((0.2, 3.0, 0.5, 7.0))
    assert at(1.0, **schedule) == (2.0, 3.0, 5.0, 7.0)
    assert at(1.1, **schedule) == (2.0, 3.0, 5.0, 7.0)


@pytest.mark.parametrize(
    "constant", [{"early_energies": 1.0}, {"force_weight": 0.0, "early_energies": 0.01}]
)
def test_weights_are_constant_where_asked_for_or_where_no_forces_are_learned(constant):
    expected = tuple((FULL | {k: v for k, v in constant.items() if k in FULL}).values())
    assert [at(progress, **constant) for progress in (0.0, 0.7, 1.0)] == [expected] * 3


def test_forces_first_to_the_end():
    schedule = {"early_energies": 0.1, "forces_first": 1.0}
    assert at(0.99, **schedule)[0] == pytest.approx(0.2)


def test_learning_rate_at_start_peak_and_end():
    assert cosine_rate(1e-2, 0.0) == pytest.approx(1e-3)
    assert cosine_rate(1e-2, 0.05) == pytest.approx(1e-2)
    assert cosine_rate(1e-2, 1.0) == pytest.approx(1e-4)
    rates = [cosine_rate(1e-2, 0.05 + 0.95 * k / 50) for k in range(51)]
    assert rates == sorted(rates, reverse=True)
