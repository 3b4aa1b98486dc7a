"""`llmq simulate`: an engine that is not there, for trying llmq and for tests."""

import click

from cli.screen import echo


@click.command(short_help="Serve a simulated engine.")
@click.option("--profile", default="laptop", show_default=True, help="A built-in profile, or a TOML file.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same answers and times.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one."
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="The address to listen on.")
def simulate(profile: str, seed: int, port: int, bind: str) -> None:
    """Serve a simulated engine over HTTP. Every answer is marked as simulated.

    \b
    llmq simulate --profile mac-studio --seed 7 --port 1234
    """
    from worker_agent.simulator.profile import load_profile
    from worker_agent.simulator.server import serve

    chosen = load_profile(profile)
    serve(
        chosen,
        port=port,
        host=bind,
        seed=seed,
        on_ready=lambda url: echo(f"{chosen.name} ({chosen.wire}) at {url}"),
    )


COMMANDS = (simulate,)
