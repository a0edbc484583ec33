"""Mail by Amazon SES: may it be sent, is its sender proved, who is not sent any more."""

from opslib.mail.accounts import check_account, check_reputation
from opslib.mail.senders import check_refusals, check_senders, check_set
from opslib.mail.suppressions import check_address, check_suppressed, plan_lift

__all__ = [
    "check_account",
    "check_address",
    "check_refusals",
    "check_reputation",
    "check_senders",
    "check_set",
    "check_suppressed",
    "plan_lift",
]
