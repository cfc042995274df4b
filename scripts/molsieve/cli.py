"""The ``molsieve`` command. A user's mistake is one message on stderr and exit status 2."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

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
    status.set_defaults(command=_status)
    schema = commands.add_parser("schema", help="the JSON schema of campaign files")
    schema.add_argument("--output", type=Path, help="a file; without it, the terminal")
    schema.set_defaults(command=_schema)
    return parser


def _plan(parsed: argparse.Namespace) -> str:
    from molsieve.checks import check_campaign
    from molsieve.loading import load_campaign
    from molsieve.plan import plan
    from molsieve.plan_text import plan_text

    campaign = load_campaign(parsed.campaign)
    check_campaign(campaign, Path.cwd())
    return plan_text(plan(campaign), sys.stdout.isatty())


def _status(parsed: argparse.Namespace) -> str:
    from molsieve.loading import load_campaign
    from molsieve.status import status
    from molsieve.tables import TableError

    try:
        return status(load_campaign(parsed.campaign), terminal=sys.stdout.isatty())
    except TableError as error:
        raise CampaignError(str(error)) from error


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
