"""What is named like the system's own, and is not in its target's file: nobody looks at it."""

import re

from opslib import changes
from opslib.core import Connection, Finding, Findings, Question, check, count, targets
from opslib.core.reads.stores.queues import Queue

_KINDS = ("function", "queue", "state machine")


@check("Is all that is the system's in its target's file?")
def check_undescribed(ops: Connection) -> Findings:
    """Functions, queues, state machines whose name begins with the target's `prefix`."""
    texts = targets.texts(ops.target.facts)
    prefix, known = ops.target["prefix"], {re.split("[/:]", text)[-1] for text in texts}

    def named(kind: str) -> Finding:
        found = changes.list_names(ops, kind)
        mine = sorted(name for name in found if name.startswith(prefix))
        lost = [name for name in mine if name not in known]
        rule = f"each that is named {prefix}… is in the target's file"
        asked = Question(f"{kind}s of the system", rule, f"the list of every {kind}")
        if not lost:
            return asked.ok(count(len(mine), kind))
        seen = f"{len(lost)} of {len(mine)} are not: {', '.join(lost)}. "
        used = kind != "queue" or any(Queue(ops, each).held() for each in lost)
        seen += "What the file does not name is looked at by nothing here (opslib target discover)"
        return asked.judged(not used, seen + "; nothing is in them" * (not used), otherwise="warn")

    return Findings(ops.each(named, _KINDS, "every {}").values())
