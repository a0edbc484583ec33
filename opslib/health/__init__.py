"""The system's own answers: its probes, and what each of its parts says of itself."""

from opslib.health.health import Probe, check_dependencies, check_probes, probe
from opslib.health.requests import check_reply, check_request, expected, plan_request

__all__ = [
    "Probe",
    "check_dependencies",
    "check_probes",
    "check_reply",
    "check_request",
    "expected",
    "plan_request",
    "probe",
]
