"""All that is wrong in a target's file: its form, its name, names in it that lead nowhere."""

from collections.abc import Iterable, Iterator

from opslib.catalogue import procedures, runbooks
from opslib.core import Json, OpsError, UsageError, paths, strict_yaml, targets, unknown_name
from opslib.core.checks.shares import Share
from opslib.core.strict_yaml import Document


def problems(name: str) -> list[str]:
    """All that is wrong, in the order of the lines, each with file and line.

    Raises UsageError: no such target, or a file that cannot be read.
    """
    document = strict_yaml.read(targets.path(name))
    if found := strict_yaml.wrong(document, "target"):
        return found
    return [*targets.misnamed(document), *_dangling(document), *_expressions(document)]


def _expressions(document: Document) -> Iterator[str]:
    """Shares that cannot be told: no expression, or of amounts that are not there."""
    for key, of in document.data.get("metrics", {}).items():
        try:
            Share(of.get("expression", "0"), of.get("of", {}))
        except UsageError as exc:
            yield document.said(["metrics", key, "expression"], str(exc).rstrip("."))


def _dangling(document: Document) -> Iterator[str]:
    """Names of a function, queue, bucket, target, entry of the runbook that is not there."""
    for place, of, name in strict_yaml.references("target", document.data):
        try:
            known = _known(document, of)
        except OpsError as exc:  # a runbook that is broken is another file's matter
            yield document.said(place, f"cannot be looked up: {exc}".rstrip("."))
            continue
        if name not in known:
            yield document.said(place, str(unknown_name(of, name, known)).rstrip("."))


def _known(document: Document, of: str) -> Iterable[str]:
    if of == "target":
        return targets.names()
    if of != "entry":
        return list(document.data.get(of, ()))
    system, every = document.data["system"], [each.name for each in procedures.list_procedures()]
    if system in runbooks.systems():
        every += [entry.name.partition("/")[2] for entry in runbooks.entries(system)]
    return every


def listed() -> list[Json]:
    """Every target, with how many things are wrong in its file. Reads nothing but the files."""
    return [_row(name) for name in targets.names()]


def _row(name: str) -> Json:
    try:
        found = problems(name)
        data = strict_yaml.read(targets.path(name)).data
        about = data if isinstance(data, dict) else {}
    except UsageError as exc:
        found, about = [str(exc)], {}
    keys = ("title", "account", "region", "profile", "production")
    row = {"name": name} | {key: about.get(key) for key in keys} | {"problems": found}
    if not (paths.parameters() / "runbooks" / f"{about.get('system')}.yaml").exists():
        row["runbook"] = None
    return row
