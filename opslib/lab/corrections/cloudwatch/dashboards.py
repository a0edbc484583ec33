"""CloudWatch dashboards.

Plain moto keeps a body that no console could draw, and the wrong time of change.
"""

import json
import re
from typing import Any

from moto.cloudwatch.exceptions import CloudWatchException, DashboardInvalidInputError
from moto.cloudwatch.models import CloudWatchBackend, Dashboard
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

_moto_put_dashboard = CloudWatchBackend.put_dashboard


def install() -> None:
    """Set the lab's methods on moto's classes."""
    CloudWatchBackend.put_dashboard = _put
    CloudWatchResponse.put_dashboard = _put_dashboard


def _put(self: CloudWatchBackend, name: str, body: str) -> Dashboard:
    dashboard = _moto_put_dashboard(self, name, body)
    dashboard.last_modified = utcnow()
    return dashboard


def _put_dashboard(self: CloudWatchResponse) -> ActionResult:
    name, body = self._get_param("DashboardName"), self._get_param("DashboardBody")
    if not re.fullmatch(r"[\w-]{1,255}", name, re.ASCII):
        raise CloudWatchException(
            "InvalidParameterValue",
            f"The value {name} for field DashboardName contains invalid characters. It can only "
            "contain alphanumerics, "
            "dash (-) and underscore (_).",
        )
    problems = _problems(body)
    if problems:
        listed = json.dumps(problems)
        raise DashboardInvalidInputError(
            f"The dashboard body is invalid, there are {len(problems)} validation errors: {listed}"
        )
    self.cloudwatch_backend.put_dashboard(name, body)
    return ActionResult({"DashboardValidationMessages": []})


def _problems(body: str) -> list[dict[str, str]]:
    """What the console could not draw: where, and why."""
    try:
        content: Any = json.loads(body)
    except ValueError:
        return [{"dataPath": "", "message": "The dashboard body is not valid JSON"}]
    if not isinstance(content, dict) or not isinstance(content.get("widgets"), list):
        return [{"dataPath": "", "message": "Should have required property 'widgets'"}]
    problems = []
    for index, widget in enumerate(content["widgets"]):
        for needed in ("type", "properties"):
            if not isinstance(widget, dict) or needed not in widget:
                problems.append(
                    {
                        "dataPath": f"/widgets/{index}",
                        "message": f"Should have required property '{needed}'",
                    }
                )
    return problems
