"""dms, a document management system: Lambda, Step Functions, S3, Aurora, OpenSearch, Cognito."""

from pathlib import Path

from opslib.lab.estates.dms.application import APPLICATION
from opslib.lab.estates.systems import System

SYSTEM = System(Path(__file__).parent, APPLICATION)
ESTATE = SYSTEM.estate()
