"""What a run is, is tried in kernels of their own; what a forked one is, in test_batches."""

from __future__ import annotations

import pytest

from tests.projects import Project


@pytest.fixture
def project(project: Project) -> Project:
    project.forked = False
    return project
