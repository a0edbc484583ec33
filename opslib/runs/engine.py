"""The papermill engine `opslib`: runs a notebook and keeps it as a record.

papermill loads every registered engine when it starts, so this module imports nothing heavy, and
the
class has papermill's interface of an engine without inheriting from it.
"""

from typing import Any


class OpslibEngine:
    """What papermill asks of an engine.

    `papermill --engine opslib in.ipynb out.ipynb` makes a record, too.
    """

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **options: Any) -> Any:
        """Run the notebook; its record is made whatever happens.

        The notebook that is returned is masked.

        A cell's error is raised by papermill, after saving. Raises what ended the run otherwise
        (time-out,
        dead kernel, interruption), and OpsError when the record cannot be kept.
        """
        from opslib.records.facts import Request
        from opslib.runs.executions import Execution

        return Execution(nb, Request.of(nb, kernel_name, options)).run()

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> Any:
        from papermill.utils import nb_kernel_name

        return nb_kernel_name(nb, name)

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> Any:
        from papermill.utils import nb_language

        return nb_language(nb, language)
