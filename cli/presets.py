"""`llmq presets`: the prompts that come with llmq, and the user's own."""

import json

import click

from cli.options import json_option
from cli.screen import echo


@click.command(short_help="Named lists of prompts.")
@click.argument("name", required=False)
@json_option
def presets(name: str | None, as_json: bool) -> None:
    """List presets, or show the prompts of one.

    Your own: a TOML file named after the preset, in ./presets or the user configuration folder (README).

    \b
    llmq presets
    llmq presets research
    """
    from dataclasses import asdict

    from tasks.errors import InputError
    from tasks.intake.prompt_files import load_preset, preset_names
    from tasks.request import preset_folders

    folders = preset_folders()
    chosen = []
    for one in [name] if name else preset_names(folders):
        try:
            chosen.append(load_preset(one, folders))
        except InputError as error:  # one broken file does not hide the others
            if name:
                raise
            echo(f"{one}: cannot be read: {error}", err=True)
    if as_json:
        echo(json.dumps([asdict(preset) for preset in chosen]))
        return
    for preset in chosen:
        echo(f"{preset.name}: {preset.description} ({len(preset.prompts)} prompts)")
        for prompt in preset.prompts if name else ():
            echo(f"  {prompt.name}: {prompt.template}")


COMMANDS = (presets,)
