"""A plan as text for the terminal."""

from __future__ import annotations

from molsieve.plan.counts import Plan
from molsieve.terminal import Table, render


def plan_text(plan: Plan, terminal: bool = False, width: int = 100) -> str:
    """The plan in tables; with colours and rules on a terminal, plain text elsewhere."""
    space, by_round = plan.space, plan.labels_by_round
    bound = "exactly" if space.exact else "at most"
    kept = ""
    if space.candidates < space.raw_candidates:
        kept = f", about {space.candidates:,} of allowed size and elements"
    at_levels = ", ".join(f"{n:,} at {level}" for level, n in plan.labels_by_level.items())
    lines = [
        f"Campaign {plan.campaign}",
        f"  candidates  {bound} {space.raw_candidates:,}{kept}",
        f"  species     {space.species:,}, {space.atoms:.1f} atoms on average",
        f"  rounds      at most {len(by_round)}, labels {_sum_text(by_round)}",
        f"  labels      {at_levels} (rounds, measured systems, hits)",
        f"  jobs        {plan.job_count:,}",
        f"  files       {plan.files:,}",
        f"  peak disk   {bytes_text(plan.peak_disk_bytes)}",
    ]
    stages = Table("Work by stage", ["stage", "work", "core-hours", "GPU-hours"])
    for stage in plan.stages:
        stages.rows.append(
            [stage.name, stage.work, hours(stage.core_hours), hours(stage.gpu_hours)]
        )
    stages.rows.append(["all", "", hours(plan.core_hours), hours(plan.gpu_hours)])
    jobs = Table("Jobs by rule", ["rule", "jobs"])
    jobs.rows += [[rule, f"{n:,}"] for rule, n in plan.jobs.items()]
    return "\n".join(
        [
            *lines,
            "",
            render([stages, jobs], terminal, width),
            "Shards",
            *(f"  {line}" for line in plan.advice),
            "",
            "Assumptions",
            *(f"  {line}" for line in plan.assumptions),
        ]
    )


def _sum_text(by_round: list[int]) -> str:
    """``200 + 2 x 100 = 400``: the first round, then equal ones."""
    first, later = by_round[0], by_round[1:]
    rest = f" + {len(later)} x {later[0]:,}" if later else ""
    return f"{first:,}{rest} = {sum(by_round):,}"


def hours(value: float) -> str:
    """Hours with three significant digits; a dash for none."""
    if value == 0:
        return "–"
    if value < 0.01:
        return "< 0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bytes_text(count: int) -> str:
    """Bytes in the unit that leaves one to three digits before the point."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
