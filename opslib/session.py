"""Connecting: where target, lab and recorder are put together, and nowhere else."""

import os
import sys
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from opslib.catalogue import following, injected, runbooks
from opslib.core import Connection, OpsError, Refused, defects, redaction
from opslib.core import journal as journals
from opslib.core.connections import calls, targets
from opslib.core.connections.connection import Access
from opslib.core.connections.http import Api
from opslib.core.journal import Journal
from opslib.records import interactive
from opslib.records.approvals import approvals
from opslib.records.sittings import places, presence
from opslib.runs import choices


def connect(target: str, beside: Connection | None = None) -> Connection:
    """Connect to a target by name, and refuse when AWS says that this is another account.

    `beside`: the run's own connection, when this one only reads another target for comparison; they
    share its journal.
    Raises UsageError (unknown target), NotAllowed (no credentials), Refused (wrong account),
    Unfinished (no answer).
    """
    if (shell := redaction.kernel_shell()) is not None:
        shell.set_custom_exc((OpsError, NameError, *defects.stops()), defects.shown)
    described = targets.load(target)
    if shell is not None:
        injected.check(shell.user_ns)
        _fail_on_exit(shell)
    journal = beside.journal if beside else Journal()
    sitting = _sitting(shell, journal, target) if beside is None else None
    recorder = sitting.recorded if sitting else interactive.recorded
    access = _access(described)
    ops = Connection(described, access, journal, recorder, connect, approvals)
    ops.entry = partial(runbooks.serving, described.system)
    if shell is not None:
        known = partial(choices.described, described)
        ops.follow = partial(
            following.command, target=described.name, here=shell.user_ns, known=known
        )
        if beside is None and presence.is_live(journal.kept):
            from opslib.desk import joining  # nobody needs it elsewhere

            joining.join(shell, ops, sitting is not None)
    if sitting:
        sitting.joins(ops)
    if ops.identity.account != described.account:
        raise Refused(
            f"These credentials are for account {ops.identity.account}, but {described.name} is "
            f"in {described.account}. "
            f"Nothing was done. {_login(described.profile)}, or correct "
            f"parameters/targets/{described.key}.yaml."
        )
    if beside is None:
        journals.current = journal
        journal.write(
            "connected",
            target=described.name,
            account=ops.identity.account,
            region=described.region,
            arn=ops.identity.arn,
            lab=described.lab,
            production=described.production,
        )
    return ops


def _sitting(shell: Any, journal: Journal, target: str) -> Any:
    """The sitting that this kernel is for, its record begun; None where none is, or an engine."""
    path = places.here()
    if shell is None or path is None or journal.kept:
        return None
    from opslib.records.sittings import ours  # nobody needs it elsewhere

    sitting = ours.of(shell, path)
    redaction.guard_kernel()
    sitting.begin(target)
    journal.hears = sitting.hears
    return sitting


def visit(profile: str | None, region: str) -> Connection:
    """Connect to whatever account a profile, or the environment, leads to: to look around there.

    Raises NotAllowed (no credentials), Unfinished (no answer).
    """
    facts = {"title": "an account", "system": "new", "environment": "target", "production": True}
    about = {**facts, "account": "", "region": region, "profile": profile}
    described = targets.described("new-target", about)
    described = replace(described, profile=profile or described.profile)
    ops = Connection(described, _access(described), Journal())
    ops.target = replace(described, account=ops.identity.account)
    return ops


def _login(profile: str | None) -> str:
    if profile:
        return f"Log in with profile {profile!r}"
    return "They are the environment's (AWS_PROFILE, AWS_ACCESS_KEY_ID, a role)"


def _fail_on_exit(shell: Any) -> None:
    """In a kernel, leaving is a failure: IPython may go on, papermill takes it for success."""

    def leave(status: Any = None) -> NoReturn:
        raise OpsError(
            f"exit({'' if status is None else status}) is no end of a notebook: nothing after it "
            "is done. Raise an error, or leave the rest out by a parameter."
        )

    shell.user_ns |= {"exit": leave, "quit": leave}
    sys.exit = leave


def _access(described: targets.Target) -> Access:
    facts, endpoint, keys = described.facts.get("api"), None, None
    if described.lab:
        from opslib import lab  # nobody needs it elsewhere

        place = lab.up()
        endpoint = place.aws_endpoint(described.key)
        user = os.environ.get("OPSLIB_LAB_USER")  # to practise what takes two people
        keys = place.credentials(described.key, user or "operator")
        facts = facts and {**facts, "url": place.api_url(described.key)}
    session, config = calls.session(described, keys)
    if not facts:
        return Access(session, config, endpoint, None)
    url, seconds = facts["url"].rstrip("/"), float(facts.get("timeout_seconds", 10))
    api = Api(url, facts.get("headers", {}), seconds)
    return Access(session, config, endpoint, api)
