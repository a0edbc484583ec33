"""The command `opslib policy`."""

import json
from pathlib import Path

import click

from opslib.cli import completion, given, streams
from opslib.core import console
from opslib.policies.called import APPLY, PREVIEW, ROLE, called


@click.command()
@click.argument("name", shell_complete=completion.names)
@given.target(required=True)
@click.option("--apply", "kind", flag_value=APPLY, help="For a run that applies.")
@click.option("--role", "kind", flag_value=ROLE, help="For policy.apply_role of the target's file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file.")
def policy(name: str, target: str, kind: str | None, output: Path | None) -> None:
    """The least IAM policy of a procedure: what its records on a target really called.

    For a run that looks or previews; with --apply for one that applies. Records of the target and
    of its practice copy count. What it is made of is said on stderr.
    """
    found, kind = called(name, target), kind or PREVIEW
    made = found.policy(kind)
    streams.put(json.dumps(made, indent=2), output)
    for note in found.notes(kind, made):
        click.echo(console.plain(note), err=True)
