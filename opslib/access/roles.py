"""The roles with which the target's services and functions run: there, and last used when."""

from functools import partial

from opslib.core import (
    Connection,
    Findings,
    Json,
    NotFound,
    Question,
    check,
    dtypes,
    frame,
    functions,
    services,
)

ROLES = dtypes("""
    role   str
    of     str
    there  bool
    used   utc
    region str
""")


@check("Are the roles there with which it runs?")
def check_roles(ops: Connection) -> Findings:
    """Task and execution roles of services, roles of functions (IAM GetRole). Evidence: ROLES.

    When one was last used IAM knows of 400 days, and some hours late.
    """
    known = {"services": _of_service, "functions": _of_function}
    held: dict[str, list[str]] = {}
    for section, read in known.items():
        names = ops.target.at(section)
        told = ops.each(partial(read, ops), names, f"roles of {section[:-1]} {{}}")
        for key, roles in told.items():
            for arn, called in roles.items():
                held.setdefault(arn, []).append(f"{called} {key}")
    found = ops.each(partial(_role, ops), held, "role {}")
    rows = [{"role": _name(arn), "of": ", ".join(held[arn]), **has} for arn, has in found.items()]
    asked = Question("roles of services and functions", "all there", "iam GetRole")
    gone = [f"{row['role']} ({row['of']})" for row in rows if not row["there"]]
    seen = f"not there: {', '.join(gone)}; nothing new starts with it" if gone else f"{len(rows)}"
    return Findings([asked.judged(not gone, seen)] if rows else [], frame(rows, ROLES))


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _role(ops: Connection, arn: str) -> Json:
    try:
        told = ops.call("iam", "get_role", RoleName=_name(arn))["Role"].get("RoleLastUsed", {})
    except NotFound:
        return {"there": False}
    return {"there": True, "used": told.get("LastUsedDate"), "region": told.get("Region", "")}


def _of_service(ops: Connection, key: str) -> Json:
    definition = services.Service(ops, key).definition()
    named = {"taskRoleArn": "tasks of", "executionRoleArn": "start of"}
    return {definition[name]: words for name, words in named.items() if name in definition}


def _of_function(ops: Connection, key: str) -> Json:
    return {functions.live(ops, key)["Role"]: "function"}
