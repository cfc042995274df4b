# Purpose: the campaign: read and checked, held while a controller lives, given back at its end.
# Inputs: the campaign file, and what was ordered with `molsieve retry`.
# Outputs: `campaign` (resolved), `retry_orders`; the campaign's lease.
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(workflow.basedir) / "scripts"))

from molsieve.loading import load_mapping, read_yaml
from molsieve.retries.orders import orders_in_force
from molsieve.section import CampaignError

# One thread a process unless told otherwise: parallelism comes from jobs and workers, and xTB with
# more threads than cores is hundreds of times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

try:
    if workflow.is_main_process:
        # Snakemake's own YAML reading lets the last of two equal keys win in silence.
        for path in workflow.configfiles:
            read_yaml(path)
    campaign = load_mapping(config)
    if workflow.is_main_process:
        from molsieve.checks import check_campaign

        check_campaign(campaign, pathlib.Path.cwd())
    retry_orders = orders_in_force(
        campaign, pathlib.Path(f"results/{campaign.campaign}"), workflow.is_main_process
    )
except CampaignError as error:
    # One screen for the campaign's author; SystemExit keeps Snakemake from adding a traceback.
    print(f"\nThis campaign cannot run.\n\n{error}\n", file=sys.stderr)
    sys.exit(2)

# A job of a controller that another one has replaced ends here, before Snakemake deletes the outputs
# that its successor may have written.
if not workflow.is_main_process:
    from molsieve.jobs.attempts import overtaken

    if reason := overtaken(pathlib.Path(f"results/{campaign.campaign}")):
        print(f"\n{reason}\n", file=sys.stderr)
        sys.exit(3)


def take_campaign():
    """Hold the campaign's lease while this controller lives; a second controller is refused."""
    from molsieve.jobs.controller import take
    from molsieve.jobs.scheduler_outages import outlast_outages

    outlast_outages()
    try:
        take(campaign, pathlib.Path(f"results/{campaign.campaign}"))
    except CampaignError as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        raise WorkflowError("this campaign is taken") from None


def answer():
    """Where the ranking and the page are, and the first rows."""
    from molsieve.jobs.controller import answer, give_back

    give_back()
    return answer(campaign, pathlib.Path(f"results/{campaign.campaign}/rounds"))


def what_now():
    """What a person needs to know after a failure."""
    from molsieve.jobs.controller import give_back

    give_back()
    return (
        "Nothing that finished is lost. The rule's log (above) says what went wrong; the same "
        "command goes on from there."
    )
