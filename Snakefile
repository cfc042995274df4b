# Molsieve: which molecule or material achieves a property? One campaign is one YAML file:
#   snakemake --configfile config/quickstart.yaml --workflow-profile profiles/local
from snakemake.utils import min_version

min_version("9.27")


# A configfile: directive would merge another campaign's keys into the one given (tried), so it
# stands in only where none was.
if not config:

    configfile: "config/quickstart.yaml"


include: "workflow/rules/campaign.smk"
include: "workflow/rules/common.smk"


pathvars:
    results=f"results/{campaign.campaign}",
    logs=f"results/{campaign.campaign}/logs",


include: "workflow/rules/resources.smk"
include: "workflow/rules/candidates.smk"
include: "workflow/rules/structures.smk"
include: "workflow/rules/retries.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/potential.smk"
include: "workflow/rules/acquisition.smk"
include: "workflow/rules/ranking.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


rule all:
    """The ranking and the page of the last round that is needed; every retry that was ordered."""
    default_target: True
    input:
        last_report,
        last_ranking,
        all_retries,


onstart:
    take_campaign()


onsuccess:
    print(answer())


onerror:
    print(what_now())
