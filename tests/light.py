"""A pytest plugin: what each process of the tests would load and never use is left out."""

from opslib.core.strict_yaml import skip_grammars

skip_grammars()  # before nbval imports what compiles them
