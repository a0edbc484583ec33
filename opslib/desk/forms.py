"""The parameters of a sitting as controls. What is changed holds until the kernel ends."""

import json
import sys
from typing import Any

from opslib.catalogue import parameters
from opslib.catalogue.parameters import Parameter
from opslib.core import Target, UsageError, journal, redaction, targets
from opslib.desk.commands import OF_A_PLAN, command, declared
from opslib.records.sittings import presence
from opslib.runs import choices

_RANGES = ("15m", "1h", "3h", "24h", "7d")
_changed: dict[str, Any] = {}  # in this kernel; put over the parameters cell when it is run again


def form() -> None:
    """Controls for the parameters above; headless nothing. Cells below take what is set here."""
    if not presence.is_live(journal.Journal().kept):
        return
    if not (shown := _here()):
        return
    shell: Any = sys.modules["IPython"].get_ipython()
    shell.user_ns |= {n: v for n, v in _changed.items() if n in shell.user_ns}
    _Form(shell.user_ns, shown)


def _here() -> list[Parameter]:
    """Those that a person sets: the target is chosen where it is opened, approval where asked."""
    try:
        known, _ = declared()
    except UsageError:
        return []
    named = {"target", *OF_A_PLAN}
    return [p for p in known if p.name not in named and not redaction.names_a_secret(p.name)]


class _Form:
    def __init__(self, values: dict[str, Any], shown: list[Parameter]) -> None:
        import ipywidgets

        from opslib.desk import ranges
        from opslib.desk.panels import Panel, column, link, row, said

        self._values, self._target = values, targets.load(values["target"])
        self._told, self._line = said(), said(self._command())
        parts, controls = [], {each.name: self._controlled(each) for each in shown}
        times = ranges.of(controls)
        for each in shown:
            if times and each.name in ranges.OWN:
                continue
            control = controls[each.name]
            mark = " (required)" if each.required else ""
            parts += [said(f"{each.name}{mark}"), control, said(each.help)]
        grid = ipywidgets.GridBox(
            parts,
            layout={
                "grid_template_columns": "max-content max-content minmax(12em, auto)",
                "grid_gap": "0 12px",
            },
        )
        self._below = link("Run from here down", "notebook:run-all-below", "With what is set here")
        self._below.layout.display = "none"  # nothing is set yet
        told = row(self._told, self._below)
        Panel(column([grid, *times, told, self._line]), self._command())

    def _controlled(self, parameter: Parameter) -> Any:
        control = _control(parameter, self._values.get(parameter.name), self._target)
        control.tooltip = parameter.name  # what a screen reader says
        control.observe(lambda change: self._set(parameter, change["owner"]), "value")
        return control

    def _command(self) -> str:
        return f"The same, opened anew: {command('open', self._target.name)}"

    def _set(self, parameter: Parameter, control: Any) -> None:
        from opslib.desk.panels import say

        name, was = parameter.name, self._values.get(parameter.name)
        try:
            value = parameters.typed([parameter], {name: control.value}, "this form")[name]
        except UsageError as exc:
            say(self._told, f"{name} stays {was!r}: {exc}")
            control.value = _text(was)  # nothing stands there that does not hold
            return
        if value == was:
            return
        self._values[name] = _changed[name] = value
        if journal.current is not None:
            journal.current.write("parameter", name=name, value=value, was=was)
        say(self._told, f"{name} is {value!r} now, was {was!r}.")
        self._below.layout.display = None
        say(self._line, self._command())


def _control(parameter: Parameter, value: Any, target: Target) -> Any:
    """A box to tick, a list of the names in the target's file, ranges of time, or a line."""
    import ipywidgets

    if parameter.type == "bool":
        return ipywidgets.Checkbox(value=bool(value), indent=False)
    known = [*choices.described(target, parameter)]
    known += ["all"] if known and parameter.all else []
    if parameter.name == "since":
        known = [*_RANGES]
    text = _text(value)
    listed = known if text else ["", *known]
    if known and text in listed and not (parameter.any or parameter.name == "since"):
        return ipywidgets.Dropdown(options=listed, value=text, layout={"width": "18em"})
    make = ipywidgets.Combobox if known else ipywidgets.Text
    more = {"options": tuple(known), "ensure_option": False} if known else {}
    wide = f"{min(44, max(18, len(text) * 0.6)):.0f}em"
    return make(value=text, continuous_update=False, layout={"width": wide}, **more)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
