"""Write the page of a round: the answer, how sure it is, and how it was found."""

import json
from pathlib import Path

from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Stop
from molsieve.jobs.script import rule_attempt
from molsieve.loading import load_mapping, resolved
from molsieve.report import ReportFiles, build_report


def report(inputs, page: Path, params, config: dict) -> None:
    """Write one offline HTML page."""

    def paths(names) -> list[Path]:
        return [Path(name) for name in names]

    figures = [json.loads(path.read_text()) for path in paths(inputs.figures)]
    build_report(
        resolved(load_mapping(config)),
        ReportFiles(
            ranking=Path(inputs.ranking),
            candidates=paths(inputs.candidates),
            species=paths(inputs.species),
            predictions=paths(inputs.predictions),
            selections=paths(inputs.selections),
            metrics=paths(inputs.metrics),
            figures=paths(inputs.figures),
            parity=paths(inputs.parity),
            calibration=Path(inputs.evaluation),
            dataset=Path(inputs.dataset),
            receipts=paths(inputs.receipts),
            references=dict(zip(params.levels, paths(inputs.references), strict=True)),
            reference_calibrations=dict(
                zip(params.levels, paths(inputs.calibrations), strict=True)
            ),
        ),
        verdict(figures, Stop(**params.stop), params.batch_labels).reason,
        Path(inputs.template),
        page,
    )


if __name__ == "__main__":
    with rule_attempt(snakemake):
        report(
            snakemake.input,
            Path(snakemake.output.page),
            snakemake.params,
            snakemake.config,
        )
