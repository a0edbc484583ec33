"""What a target's file describes, by the name that it has there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from opslib.core.connections.connection import Connection

T = TypeVar("T")


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

    @classmethod
    def each(cls, ops: Connection, key: str, read: Callable[[Self], T], asked: str) -> list[T]:
        """What is read of one, or of each that the target's file names where none is said."""
        chosen = [key] if key else ops.target[cls.section]
        return [*ops.each(lambda name: read(cls(ops, name)), chosen, asked).values()]
