"""A first target's file from what is in an account: read, put together, written as YAML."""

from opslib.core import Connection, Json, OpsError, redaction, strict_yaml, targets
from opslib.core.text import plain
from opslib.discovery import metrics, within
from opslib.discovery.accounts import look
from opslib.discovery.facts import Draft, about, beside, draft

_SCHEMA = "# yaml-language-server: $schema=../../opslib/core/schemas/target.json"
_HEAD = (
    "# A first draft, by `opslib target discover`. Facts only: a secret is named here, and read",
    "# when it is used. Look at what stands after a ?, then: opslib target check NAME",
)


def discover(ops: Connection, prefix: str = "", name: str = "", data: bool = True) -> Draft:
    """What would stand in a target's file. `data`: asks the API and the database, too.

    Reads only. What could not be asked is in the draft's notes. Raises what STS does.
    """
    account = look(ops, prefix)
    system, environment = about(account, prefix, name)
    head: Json = {"system": system, "environment": environment}
    head |= {"account": ops.identity.account, "region": ops.target.region}
    made = draft(account, head | {"profile": ops.target.profile})
    label = f"{targets.LAB if ops.target.lab else ''}{system}-{environment}"
    ops.target = targets.described(label, {"profile": None, **made.facts})
    told, connections = within.Told(), 0
    if data and "api" in made.facts:
        ops.reach(made.facts["api"]["url"])
        told = within.ask_api(ops, made)
    try:
        within.ask_buckets(ops, made)
        if data and "database" in made.facts:
            connections = within.ask_database(ops, made, told)
    except OpsError as exc:
        made.note("database", f"not asked: {exc}")
    metrics.describe(made, connections)
    made.facts = {key: value for key, value in made.facts.items() if value not in ({}, [], None)}
    return made


def written(made: Draft) -> str:
    """The draft as a file; what a person has to decide stands over its section."""
    import yaml

    lines = [_SCHEMA, *_HEAD]
    lines += [f"# ? {_one_line(each)}" for each in beside(made)]
    known = [place[0] for place, _ in strict_yaml.keys("target") if len(place) == 1]
    for section in filter(made.facts.__contains__, known):
        body = yaml.safe_dump(
            {section: made.facts[section]}, sort_keys=False, allow_unicode=True, width=110
        )
        lines += [""] * isinstance(made.facts[section], dict)
        lines += [f"# ? {_one_line(note)}" for note in dict.fromkeys(made.notes.get(section, ()))]
        lines += body.rstrip().splitlines()
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(plain(redaction.mask(text)).split())
