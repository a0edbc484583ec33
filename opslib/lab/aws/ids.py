"""The ids that moto draws."""

from collections.abc import Iterator
from contextlib import contextmanager

from moto.moto_api._internal import mock_random


@contextmanager
def apart(seed: str = "") -> Iterator[None]:
    """What is made in it leaves the ids of all that is made later as they were without it.

    `seed`: its own ids hang on that alone.
    """
    drawn = mock_random.getstate()
    if seed:
        mock_random.seed(seed)
    try:
        yield
    finally:
        mock_random.setstate(drawn)
