"""The ``molsieve`` command. A user's mistake is one message on stderr and exit status 2."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from molsieve import __version__
from molsieve.section import CampaignError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status.

    Args:
        arguments: words after ``molsieve``; None: of this process.
    """
    parsed = _parser().parse_args(arguments)
    try:
        text = parsed.command(parsed)
    except CampaignError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        print(text, end="" if text.endswith("\n") or not text else "\n", flush=True)
    except BrokenPipeError:  # `molsieve plan … | head` has seen enough
        sys.stderr.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="molsieve",
        description="Active-learning virtual screening; campaigns themselves run with snakemake.",
    )
    parser.add_argument("--version", action="version", version=f"molsieve {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="command")
    plan = commands.add_parser("plan", help="price a campaign before anything is queued")
    plan.add_argument("campaign", type=Path, help="the campaign file, config/X.yaml")
    plan.set_defaults(command=_plan)
    status = commands.add_parser("status", help="how a campaign stands")
    status.add_argument("campaign", type=Path, help="the campaign file, config/X.yaml")
    status.add_argument("--failed", action="store_true", help="list every failed structure")
    status.add_argument(
        "--no-scheduler", action="store_true", help="do not ask SLURM for the campaign's jobs"
    )
    status.add_argument(
        "--watch", type=_seconds, metavar="SECONDS", help="again and again, until Ctrl-C"
    )
    status.set_defaults(command=_status)
    _add_retry(commands)
    _add_predict(commands)
    export = commands.add_parser("export", help="a campaign's committee as a folder of its own")
    export.add_argument("campaign", type=Path, help="the campaign's results, results/X")
    export.add_argument("out", type=Path, help="a folder that does not exist yet")
    export.add_argument("--round", type=int, help="without it, the last that has been evaluated")
    export.set_defaults(command=_export)
    schema = commands.add_parser("schema", help="the JSON schema of campaign files")
    schema.add_argument("--output", type=Path, help="a file; without it, the terminal")
    schema.set_defaults(command=_schema)
    return parser


def _add_retry(commands: Any) -> None:
    retry = commands.add_parser(
        "retry",
        help="repeat failed calculations, with a longer limit or other SCF settings",
        description="Without a choice, lists what failed. A choice is ordered to be repeated: the "
        "campaign's own snakemake command then computes it. Several conditions must all be met.",
    )
    retry.add_argument("campaign", type=Path, help="the campaign file, config/X.yaml")
    choice = retry.add_argument_group("which failures")
    choice.add_argument("--kind", type=_words, default=[], help="of these kinds: K or K,K")
    choice.add_argument(
        "--structure",
        nargs="+",
        default=[],
        metavar="ID",
        help="these; the beginning of an id will do",
    )
    choice.add_argument("--round", type=int, help="of this round's labels and hits")
    choice.add_argument("--level", help="at this level (a name of the file)")
    choice.add_argument(
        "--references",
        action="store_true",
        help="measured systems: alone only these, else these too",
    )
    choice.add_argument("--all", action="store_true", help="all but measured systems")
    how = retry.add_argument_group("how")
    how.add_argument("--time-limit", metavar="TIME", help="of one calculation: 5400, 90min, 4h")
    how.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="of the level, what leaves its numbers the same: max_cycles=400",
    )  # fmt: skip
    how.add_argument("--dry-run", action="store_true", help="say what would be ordered")
    retry.set_defaults(command=_retry)


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser(
        "predict",
        help="energies and forces of structures by a finished committee, with their uncertainty",
        description="Reads any file that ASE reads (xyz, extxyz, cif, POSCAR, db), a Parquet table "
        "of structures, or SMILES (.smi: embedded, then relaxed). A campaign with property heads "
        "also tells excited states: S1, T1, their gap, oscillator strength. Without --out, a table "
        "on the terminal.",
    )
    predict.add_argument("structures", type=Path, help="the file of structures")
    where = predict.add_argument_group("which committee (one of these)")
    which = where.add_mutually_exclusive_group(required=True)
    which.add_argument("--campaign", type=Path, metavar="RESULTS", help="of results/X")
    which.add_argument("--committee", type=Path, metavar="FOLDER", help="of molsieve export")
    where.add_argument("--round", type=int, help="of the campaign; else its last evaluated one")
    how = predict.add_argument_group("how")
    how.add_argument("--out", type=Path, help="a file ending in .parquet, .extxyz or .csv")
    how.add_argument("--relax", action="store_true", help="relax first; cells stay as they are")
    how.add_argument("--fmax", type=_positive, default=0.05, metavar="EV_PER_ANGSTROM",
        help="largest force after a relaxation (0.05)")  # fmt: skip
    how.add_argument("--max-steps", type=_count, default=200, help="of a relaxation (200)")
    how.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    how.add_argument("--charge", type=int, metavar="E", help="of structures that do not say it: 0")
    how.add_argument("--multiplicity", type=_count, help="of structures that do not say it: 1")
    predict.set_defaults(command=_predict)


def _positive(text: str) -> float:
    """A number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text}: allowed: a number above 0")


def _count(text: str) -> int:
    """A whole number above 0."""
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text}: allowed: a whole number above 0")


def _predict(parsed: argparse.Namespace) -> str:
    from molsieve.predict.command import Request, predict
    from molsieve.predict.rows import Relaxation

    return predict(
        Request(
            parsed.structures,
            parsed.campaign or parsed.committee,
            round=parsed.round,
            out=parsed.out,
            device=parsed.device,
            charge_e=parsed.charge,
            multiplicity=parsed.multiplicity,
            relaxation=Relaxation(parsed.relax, parsed.fmax, parsed.max_steps),
        ),
        sys.stdout.isatty(),
    )


def _export(parsed: argparse.Namespace) -> str:
    from molsieve.export.folder import export_committee

    return export_committee(parsed.campaign, parsed.out, parsed.round)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _retry(parsed: argparse.Namespace) -> str:
    from molsieve.loading import load_campaign
    from molsieve.retries.choice import Choice
    from molsieve.retries.settings import seconds
    from molsieve.retries.text import retry
    from molsieve.tables import TableError

    choice = Choice(
        kinds=parsed.kind,
        structures=parsed.structure,
        round=parsed.round,
        level=parsed.level,
        references=parsed.references,
        everything=parsed.all,
    )
    try:
        return retry(
            load_campaign(parsed.campaign),
            parsed.campaign,
            choice,
            changes=parsed.set,
            time_limit_s=seconds(parsed.time_limit) if parsed.time_limit else None,
            dry_run=parsed.dry_run,
            terminal=sys.stdout.isatty(),
        )
    except TableError as error:
        raise CampaignError(str(error)) from error


def _plan(parsed: argparse.Namespace) -> str:
    from molsieve.checks import check_campaign
    from molsieve.loading import load_campaign
    from molsieve.plan.counts import plan
    from molsieve.plan.text import plan_text

    campaign = load_campaign(parsed.campaign)
    check_campaign(campaign, Path.cwd())
    return plan_text(plan(campaign), sys.stdout.isatty())


def _status(parsed: argparse.Namespace) -> str:
    from molsieve.loading import load_campaign
    from molsieve.status.text import status
    from molsieve.tables import TableError
    from molsieve.terminal import watch

    def text() -> str:
        try:
            return status(
                load_campaign(parsed.campaign),
                terminal=sys.stdout.isatty(),
                scheduler=not parsed.no_scheduler,
                list_failed=parsed.failed,
                path=parsed.campaign,
            )
        except TableError as error:
            raise CampaignError(str(error)) from error

    return text() if parsed.watch is None else watch(text, parsed.watch, sys.stdout)


def _seconds(text: str) -> float:
    """A pause between two looks, in s."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < 86_400:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text}: allowed: seconds, above 0 and below a day")


def _schema(parsed: argparse.Namespace) -> str:
    from molsieve.loading import json_schema

    text = json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
    if parsed.output is None:
        return text
    try:
        parsed.output.write_text(text)
    except OSError as error:
        raise CampaignError(f"--output {parsed.output}: {error.strerror}") from error
    return f"wrote {parsed.output}"


if __name__ == "__main__":
    sys.exit(main())
