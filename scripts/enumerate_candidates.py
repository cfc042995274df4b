"""Enumerate or read the candidates of a campaign, filter them, and write them in shards."""

from importlib import import_module
from pathlib import Path

from molsieve.campaign import parse_section
from molsieve.jobs.script import rule_attempt


def enumerate_candidates(outputs: list[Path], params, workers: int) -> None:
    """Write one ``candidates`` table a shard and print the counts by reason of rejection."""
    domain = import_module(f"molsieve.domains.{params.domain}.candidates")
    candidates = parse_section(params.domain, "candidates", params.candidates)
    counts = domain.enumerate_candidates(candidates, outputs, workers, params.campaign)
    for reason, count in counts.items():
        print(f"{count:>9} {reason}")


if __name__ == "__main__":
    with rule_attempt(snakemake, keep=True) as attempt:
        if attempt.needed:
            enumerate_candidates(
                [Path(path) for path in snakemake.output.candidates],
                snakemake.params,
                snakemake.threads,
            )
