"""A lab in this process, with two empty targets, for what the lab itself does.

AWS is asked over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from opslib.lab.aws import credentials
from opslib.lab.places import EMPTY, Place
from opslib.lab.server import opened
from opslib.lab.world import World

_TARGET = """
title: Practice {environment}
system: practice
environment: {environment}
production: false
account: "{account}"
region: us-west-2
functions:
  api: {{name: practice-api}}
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two targets, practice-one and practice-two, in two accounts."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "parameters" / "targets"
    folder.mkdir(parents=True)
    for environment, account in {"one": "111111111111", "two": "222222222222"}.items():
        text = _TARGET.format(environment=environment, account=account)
        (folder / f"practice-{environment}.yaml").write_text(text)
    return home


@pytest.fixture(scope="session")
def world(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A lab of these two targets."""
    with ExitStack() as stack:
        with (
            pytest.MonkeyPatch.context() as patch
        ):  # only while it reads the targets: others have their own project
            patch.setenv("OPSLIB_HOME", str(home))
            world = stack.enter_context(opened(Path(tmp_path_factory.mktemp("lab"))))
        world.estates["practice"] = EMPTY  # what there is, the tests make
        yield world


@pytest.fixture
def place(world: World) -> Iterator[Place]:
    """practice-one. Its faults are gone afterwards."""
    yield world.places["practice-one"]
    world.places["practice-one"].faults.clear()


Clients = Callable[..., Any]


@pytest.fixture(scope="session")
def aws(world: World) -> Clients:
    """aws("lambda"): a boto3 client of practice-one.

    Aws("sts", target="practice-two", user="reviewer").
    """
    session = boto3.session.Session()

    def client(
        service: str, target: str = "practice-one", user: str = "operator", **given: Any
    ) -> Any:
        world._open_account(world.places[target])  # another lab's reset has forgotten its users
        key, secret = credentials.credentials(world.places[target].account, user)
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, **given}
        config = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"})
        return session.client(
            service, region_name="us-west-2", endpoint_url=world.url, config=config, **keys
        )

    return client
