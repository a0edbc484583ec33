"""What was deployed: the release, and the infrastructure as Terraform knows it."""

from opslib.deployments.backups import check_backup, plan_backup
from opslib.deployments.releases import (
    check_again,
    check_releases,
    check_taken_away,
    plan_test_record,
)
from opslib.deployments.states import check_states
from opslib.deployments.terraform import (
    check_changes,
    check_drift,
    check_file,
    check_reverted,
    to_plan,
    to_push,
    to_roll_back,
)
from opslib.deployments.ways import check_ways_back

__all__ = [
    "check_again",
    "check_backup",
    "check_changes",
    "check_drift",
    "check_file",
    "check_releases",
    "check_reverted",
    "check_states",
    "check_taken_away",
    "check_ways_back",
    "plan_backup",
    "plan_test_record",
    "to_plan",
    "to_push",
    "to_roll_back",
]
