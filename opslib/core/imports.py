"""What must be known about other packages' imports."""

from __future__ import annotations

import sys


def skip_iri_grammar() -> None:
    """Keep jsonschema from compiling a grammar of international URLs when it is imported: 0.9 s, never used here.

    jsonschema does without the package and then does not check the formats `iri` and `iri-reference`,
    which neither notebooks nor our YAML have. Has no effect once jsonschema is imported.
    """
    if "jsonschema" not in sys.modules:
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
