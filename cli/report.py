"""`llmq report`: a run as one HTML page that can be mailed, and as charts."""

import json
from pathlib import Path

import click

from cli.options import json_option, run_argument
from cli.screen import echo

RESULTS = Path("results")


@click.command(short_help="A run as one HTML page: figures, charts, failures, how to repeat it.")
@run_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page; default: results/RUN.html")
@click.option(
    "--png",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also charts: latency_by_model.png, memory_by_model.png, tps_by_model.png, pairs.png.",
)
@json_option
def report(run: str, output: Path | None, png: Path | None, as_json: bool) -> None:
    """Write what RUN (default: the latest) measured as one self-contained HTML page. RUN may also be a
    file of results or requests, or a folder of them (`bench/`); a run.json beside it, of the same run, says
    on which machines. A run that goes on gives what it has.

    \b
    llmq report
    llmq report 3f9a -o report.html --png charts/
    llmq report results.json -o report.html
    """
    from cli.rank import sources
    from tasks.report import charts
    from tasks.report.page import check_page, write_report
    from tasks.report.ranking_files import beside

    if output:
        check_page(output)
    if png:
        charts.check(png)
    with sources([run]) as found:
        source = found[run]
        path = output or RESULTS / f"{Path(source.run).stem}.html"
        check_page(path)
        write_report(source, path, beside(source.path, source.run) if source.path else None)
        drawn = charts.draw(source, png) if png else charts.Drawn((), {})
    files = [str(one) for one in drawn.paths]
    if as_json:
        echo(json.dumps({"run": source.run, "report": str(path), "png": files, "left_out": drawn.left_out}))
        return
    for one in (path, *drawn.paths):
        echo(f"report: {one}")
    for name, why in drawn.left_out.items():
        echo(f"no {name}: {why}", err=True)


COMMANDS = (report,)
