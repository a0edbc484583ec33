"""What the shell offers when Tab is pressed: names out of the project's files and the index.

Nothing here may fail or print: what cannot be read is not offered.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps

import click
from click.shell_completion import CompletionItem, get_completion_class, split_arg_string

from opslib.catalogue import procedures, runbooks
from opslib.core import Json, OpsError, targets
from opslib.runs import choices

Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Named = Iterable[tuple[str, str]]  # a name, and what it is
SHELLS = ("bash", "zsh", "fish")
_RECORDS = 50  # the newest are offered


def _offers(named: Callable[[Json], Named]) -> Offer:
    """A callback of click's. `named` gets what is typed already."""

    @wraps(named)
    def offer(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(OpsError, OSError):
            every = named(ctx.params)
            return [CompletionItem(n, help=h) for n, h in every if n.startswith(incomplete)]
        return []

    return offer


@_offers
def names(_: Json) -> Named:
    """Procedures, and entries of every runbook."""
    yield from ((p.name, p.title) for p in procedures.readable_ones())
    for system in runbooks.systems():
        with suppress(OpsError):
            yield from ((entry.name, entry.title) for entry in runbooks.entries(system))


@_offers
def reports(_: Json) -> Named:
    """The procedures of the chapter reports, without its name."""
    return [(p.path.stem, p.title) for p in procedures.readable_ones() if p.chapter == "reports"]


@_offers
def systems(_: Json) -> Named:
    """Those with a runbook."""
    return [(system, "") for system in runbooks.systems()]


@_offers
def target_names(_: Json) -> Named:
    """Every target, and its practice copy."""
    return [(prefix + name, "") for prefix in ("", targets.LAB) for name in targets.names()]


@_offers
def parameters(_: Json) -> Named:
    """NAME= of each parameter of what is to be run; where its target is typed, NAME=VALUE, too.

    From the line as it is typed: click has not read it while a -p lacks its value.
    """
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))[1:]
    after = dict(zip(words[1:], words, strict=False))  # each word, and the one before it
    on = [word for word in words if after.get(word) in ("-t", "--target")][:1]
    named = [word for word in words[1:] if not after[word].startswith("-")]
    named = [f"reports/{word}" if words[0] == "report" else word for word in named]
    for name in (name for name in named if not name.startswith("-")):
        for parameter in runbooks.find(name)[0].parameters:
            known = choices.described(targets.load(on[0]), parameter) if on else {}
            if parameter.name != "target":
                yield f"{parameter.name}=", parameter.told
                yield from ((f"{parameter.name}={each}", "") for each in known)


@_offers
def records(_: Json) -> Named:
    """The ids of the newest records."""
    from opslib.records import reading

    return [
        (r.id, f"{r.outcome}: {r.name} on {r.target}") for r in reading.list_records()[:_RECORDS]
    ]


@_offers
def incidents(_: Json) -> Named:
    """The ids of incidents, the newest first."""
    from opslib.incidents import incidents as known

    return [(i.id, f"{i.title} on {i.target}") for i in known.every()[:_RECORDS]]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """What makes the shell complete names of procedures, entries, targets, parameters, records.

    \b
    bash: eval "$(opslib completion bash)"     in ~/.bashrc
    zsh:  eval "$(opslib completion zsh)"      in ~/.zshrc, after compinit
    fish: opslib completion fish | source      in ~/.config/fish/config.fish
    """
    known = get_completion_class(shell)
    assert known is not None
    source = known(ctx.find_root().command, {}, "opslib", "_OPSLIB_COMPLETE").source()
    # bash takes NAME=VALUE for three words, and would complete the last one only
    words = "COMP_WORDBREAKS=${COMP_WORDBREAKS//=/}\n" if shell == "bash" else ""
    click.echo(words + source)
