"""ai-studio, a studio for texts, pictures and films by AI: four ECS services behind one load
balancer, Aurora, S3.
"""

from pathlib import Path

from opslib.lab.estates.ai_studio.application import APPLICATION
from opslib.lab.estates.systems import System

SYSTEM = System(Path(__file__).parent, APPLICATION)
ESTATE = SYSTEM.estate()
