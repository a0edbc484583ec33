"""Event source mappings.

moto knows no result of the last batch, and finds a mapping only by the name that it was made with.
Here a mapping tells of its last batch what it is given, `OK` when nothing else is said, and is
found by any name of its function. It hands nothing over: the lab's workers look whether it is on.
"""

from typing import Any

from opslib.lab.aws.operations import Call, Result, answers


@answers("lambda", "ListEventSourceMappings")
def list_event_source_mappings(call: Call) -> Result:
    source, name = call.params.get("EventSourceArn"), call.params.get("FunctionName")
    found = call.backend()._event_source_mappings.values()
    return {
        "EventSourceMappings": [
            _told(each)
            for each in found
            if source in (None, each.event_source_arn) and (not name or _is(each, name))
        ]
    }


def _is(mapping: Any, name: str) -> bool:
    of = mapping.function_arn.partition(":function:")[2]
    given = name.partition(":function:")[2] or name
    return given in (of, of.partition(":")[0])


def _told(mapping: Any) -> Result:
    told: Result = mapping.get_configuration()
    return told | {"LastProcessingResult": getattr(mapping, "last_result", "OK")}
