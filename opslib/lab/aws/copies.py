"""What moto holds, taken away by account."""

from __future__ import annotations

from moto.core.base_backend import BackendDict


def forget(account: str) -> None:
    """Empties every backend of an account."""
    for held in list(BackendDict._instances):
        for of_account, _, backend in list(held.iter_backends()):
            if of_account == account:
                backend.reset()
