"""Users of the Cognito pool and of the application."""

from opslib.users.client_secrets import plan_client_secret
from opslib.users.clients import check_clients
from opslib.users.disabling import (
    check_enabled,
    find_sign_in,
    plan_disable,
    steps_to_remove,
)
from opslib.users.passwords import plan_create, plan_password
from opslib.users.signins import check_sign_in
from opslib.users.users import (
    check_synced,
    list_users,
    plan_reset_mfa,
    plan_sync,
    pool_id,
)

__all__ = [
    "check_clients",
    "check_enabled",
    "check_sign_in",
    "check_synced",
    "find_sign_in",
    "list_users",
    "plan_client_secret",
    "plan_create",
    "plan_disable",
    "plan_password",
    "plan_reset_mfa",
    "plan_sync",
    "pool_id",
    "steps_to_remove",
]
