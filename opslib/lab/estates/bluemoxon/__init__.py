"""bluemoxon, the book-collection app: Lambda, API Gateway, Aurora, SQS, S3, Cognito."""

from pathlib import Path

from opslib.lab.estates.bluemoxon.application import APPLICATION
from opslib.lab.estates.systems import System

SYSTEM = System(Path(__file__).parent, APPLICATION)
ESTATE = SYSTEM.estate()
