"""`llmq presets`: the prompts that come with llmq, and the user's own."""

import json

import click

from cli.options import json_option


@click.command(short_help="Named lists of prompts.")
@click.argument("name", required=False)
@json_option
def presets(name: str | None, as_json: bool) -> None:
    """List presets, or show the prompts of one.

    Your own: a TOML file in ./presets or the user configuration folder.

    \b
    llmq presets
    llmq presets research
    """
    from dataclasses import asdict

    from tasks.intake.prompt_files import load_preset, load_presets
    from tasks.request import preset_folders

    folders = preset_folders()
    chosen = (load_preset(name, folders),) if name else load_presets(folders)
    if as_json:
        click.echo(json.dumps([asdict(preset) for preset in chosen]))
        return
    for preset in chosen:
        click.echo(f"{preset.name}: {preset.description} ({len(preset.prompts)} prompts)")
        for prompt in preset.prompts if name else ():
            click.echo(f"  {prompt.name}: {prompt.template}")


COMMANDS = (presets,)
