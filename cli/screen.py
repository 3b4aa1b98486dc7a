"""The printing edge: whatever goes to a terminal goes through here, and nothing in it commands the terminal.
Papers, answers, names and error messages come from strangers."""

import re

import click

# C0 and C1 controls but tab and line end, and the marks that turn the direction of reading.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` with every command to a terminal shown as an escape, `\\x1b`. Line ends become one kind."""
    text = text.replace("\r\n", "\n")
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def echo(text: str = "", *, err: bool = False) -> None:
    """One text and a line end, on stdout or stderr."""
    # What UTF-8 cannot carry, of a name that was none, is shown too.
    click.echo(plain(text).encode("utf-8", "backslashreplace").decode(), err=err)
