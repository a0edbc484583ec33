"""What a target's file describes, by the name that it has there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from opslib.core.connections.connection import Connection


@dataclass(frozen=True)
class Described:
    """Something of a section of the target's file. `key`: what the file calls it."""

    section: ClassVar[str]
    ops: Connection
    key: str

    @property
    def facts(self) -> Any:
        """What the target's file says of it."""
        return self.ops.target[self.section][self.key]

    @property
    def name(self) -> str:
        """What AWS calls it."""
        return str(self.facts["name"])
