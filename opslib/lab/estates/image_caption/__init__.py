"""image-caption, a caption generator: ECS on Fargate behind a load balancer, S3, Cognito."""

from pathlib import Path

from opslib.lab.estates.image_caption.application import APPLICATION
from opslib.lab.estates.systems import System

SYSTEM = System(Path(__file__).parent, APPLICATION)
ESTATE = SYSTEM.estate()
