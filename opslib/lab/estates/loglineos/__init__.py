"""loglineos, a ledger of what people and programs did.

Lambda, API Gateway, RDS, Terraform's state.
"""

from pathlib import Path

from opslib.lab.estates.loglineos.application import APPLICATION
from opslib.lab.estates.systems import System

SYSTEM = System(Path(__file__).parent, APPLICATION)
ESTATE = SYSTEM.estate()
