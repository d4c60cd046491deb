"""What a scheduling policy would do, without a server: the code that places real runs, in virtual time."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Output
from cli.output import Format, emit


def register(app: typer.Typer) -> None:
    """Adds the command to the root."""
    app.command()(simulate)


def simulate(
    *,
    policy: Annotated[str, typer.Option(help="PLACEMENT+ORDER, or one of the two.")] = "late-binding+fair-share",
    workload: Annotated[str, typer.Option(help="uniform, log-normal, bimodal or sweeps.")] = "log-normal",
    trace: Annotated[
        Path | None,
        typer.Option(help="CSV of arrival,duration[,team,device,predicted], in seconds; else a workload."),
    ] = None,
    slots: Annotated[str, typer.Option(help="A number; or by device class: cpu=6,cuda=2.")] = "8",
    load: Annotated[float, typer.Option(help="Share of all slots' time that the workload needs.")] = 0.9,
    runs: Annotated[int, typer.Option(help="Runs of the workload, for each seed.")] = 3000,
    teams: Annotated[int, typer.Option(help="Teams that submit the workload.")] = 1,
    sigma: Annotated[float, typer.Option(help="Prediction error: sigma of its log-normal factor.")] = 0.5,
    seeds: Annotated[int, typer.Option(help="Simulations; a trace differs in prediction errors only.")] = 5,
    deaths: Annotated[float, typer.Option("--deaths-per-day", "--deaths", help="Deaths of each follower.")] = 0.0,
    duplicates: Annotated[float, typer.Option(help="Share of runs that repeat an earlier one; reused.")] = 0.0,
    stop_early: Annotated[float, typer.Option(help="Share of each run that early stopping saves.")] = 0.0,
    output: Output = Format.TABLE,
) -> None:
    """Say how long runs would take under a policy, how near that is to the provable optimum, and than others.

    Speed-ups are over round-robin with first-come, and over queue-aware with shortest-first, on the same runs with
    the same prediction errors, nothing reused and nothing stopped early.
    """
    from dataclasses import asdict

    from cli.simulating import evaluation_lines, slots_of, streams_of
    from shared.scheduling.evaluate import evaluate
    from shared.scheduling.policy import policy_named
    from shared.scheduling.simulate import Setting

    setting = Setting(
        slots=slots_of(slots), policy=policy_named(policy), sigma=sigma, deaths_per_day=deaths,
        reuse=duplicates > 0, stop_early=stop_early,
    )  # fmt: skip
    streams = streams_of(
        trace, law=workload, runs=runs, load=load, slots=setting.slots, teams=teams, duplicates=duplicates, seeds=seeds
    )
    found = evaluate(streams, setting)
    emit(asdict(found), output, lambda: evaluation_lines(found))
