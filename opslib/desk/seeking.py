"""The door in JupyterLab: say what is seen, choose the target, click: a sitting opens."""

import contextlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from threading import RLock, Thread
from typing import Any

import ipywidgets as widgets

from opslib.catalogue import runbooks, seen
from opslib.catalogue.symptoms import Found, Guide, Hit, first_look
from opslib.core import LAB, OpsError, UsageError, escaped, targets
from opslib.desk.panels import button, column, entered, open_tab, row, type_in
from opslib.records import files
from opslib.records.sittings import places
from opslib.runs import choices
from opslib.sittings import open_sitting

_MOST = 7
_EFFECTS = {"read": "looks only", "change": "changes", "destroy": "<b>destroys</b>"}
_STYLE = """<style>
.opslib-door {max-width: 62rem; padding: 2px; overflow: visible}
.opslib-door .widget-button {height: auto; min-height: 30px; line-height: 1.3; padding: 4px 10px}
.opslib-door .opslib-hit .widget-button {
  text-align: left; white-space: normal; width: 26rem !important; flex: 0 0 auto}
.opslib-door .opslib-hit .widget-html {flex: 1 1 14rem}
.opslib-door .widget-html {padding-left: 8px}
.opslib-door :focus-visible {outline: 2px solid var(--jp-brand-color1, #1976d2) !important}
.opslib-door .widget-html-content {line-height: 1.35; color: var(--jp-ui-font-color1, inherit)}
.opslib-door .opslib-production {
  color: #fff; background: #b00020; padding: 2px 8px; border-radius: 3px}
.opslib-door .opslib-said, .opslib-door .opslib-said b {color: var(--jp-error-color1, #b00020)}
</style>"""


class Seeking:
    """`shown`: the widget."""

    def __init__(self) -> None:
        self._guide = cache(_guide)
        self._one = RLock()  # at a time: each widget may be heard in a thread of its own
        self._picker = widgets.Dropdown(
            options=_choices(), tooltip="target", layout={"width": "24rem"}
        )
        remembered = _remembered()
        if remembered in dict(self._picker.options).values():
            self._picker.value = remembered
        self._kind, self._said = widgets.HTML(), widgets.HTML()
        self._box = widgets.Text(
            placeholder="What do you see? people cannot log in, 503, dead letters …",
            layout={"width": "auto", "flex": "1 1 20rem"},
        )
        # One each: a click that is heard late opens what was clicked on, not what is there by then.
        opens = cache(self._opens)
        self._rows = [_Row(opens) for _ in range(_MOST)]
        self._unsure = _Row(opens)
        self._form = widgets.VBox()
        self._answer = widgets.Output()
        type_in(self._answer)
        words = [
            button(group.word, partial(self._see, group.word), tip=group.title)
            for group in seen.grouped(())
            if group.word
        ]
        self.shown = column(
            [
                widgets.HTML(_STYLE),
                row(self._picker, self._kind),
                row(self._box),
                row(*words),
                self._said,
                self._form,
                self._answer,
                self._unsure.shown,
                *(each.shown for each in self._rows),
            ]
        )
        self.shown.add_class("opslib-door")
        self._said.add_class("opslib-said")
        self._unsure.show(first_look("I do not know yet: a first look", "it says where to start"))
        self._picker.observe(lambda _: self._chosen(), "value")
        self._box.observe(lambda _: self._search(), "value")
        self._chosen()

    def _opens(self, name: str, title: str) -> Any:
        return button(title, partial(self._ask, name), tip=f"opens {name}")

    def _chosen(self) -> None:
        """Another target: what it is, and what helps there."""
        self._kind.value = _marked(self._picker.value)
        self._search()
        Thread(target=self._get_ready, name="opslib-door", daemon=True).start()

    def _get_ready(self) -> None:
        """What a search needs takes longer to make than its first word to type."""
        with self._one, contextlib.suppress(UsageError):  # told when something is said
            self._guide(self._picker.value)

    def _see(self, word: str) -> None:
        """One of the words below the box: who helps there."""
        self._box.value = ""
        self._search(word)

    def _search(self, word: str = "") -> None:
        with self._one:
            hits, told = self._found(self._box.value.strip(), word)
            self._said.value, self._form.children = told, ()
            for each, hit in zip_longest(self._rows, hits[:_MOST]):
                each.show(hit)

    def _found(self, said: str, word: str) -> tuple[Sequence[Hit], str]:
        """The best hits, and how it was understood."""
        if not (said or word):
            return [], ""
        try:
            guide = self._guide(self._picker.value)
            if word:
                return guide.helping(word), ""
            found = guide.find_begun(said)
        except UsageError as exc:
            return [], escaped(str(exc))
        return found.hits, _understood(found, said)

    def _ask(self, name: str, given: Any = None) -> None:
        """Open it; where that needs values, ask for them first."""
        target = self._picker.value
        self._said.value, self._form.children = "", ()
        self._answer.outputs = ()
        try:
            opened = open_sitting(name, target, given)
        except UsageError as exc:
            self._said.value = escaped(str(exc).partition(" Give it with -p")[0])
            self._form.children = self._fields(name, given or {})
        except OpsError as exc:
            self._said.value = escaped(str(exc))
        else:
            _remember(target)
            open_tab(self._answer, opened)

    def _fields(self, name: str, given: Any) -> tuple[Any, ...]:
        """For what must be said, and for what is a name out of the target's file."""
        procedure, preset, _ = runbooks.find(name)
        asked = [p for p in procedure.parameters if (p.required or p.of) and p.name not in preset]
        if not asked:
            return ()
        fields = {
            p.name: widgets.Text(
                description=p.name, value=str(given.get(p.name, "")), placeholder=p.help
            )
            for p in asked
        }

        def opens() -> None:
            self._ask(name, {n: f.value for n, f in fields.items() if f.value.strip()})

        for field in fields.values():
            field.layout, field.style = {"width": "40rem"}, {"description_width": "9rem"}
            entered(field, opens)
        return (*fields.values(), button(f"Open {name}", opens, style="primary"))


class _Row:
    """A procedure to click on, and why it is here."""

    def __init__(self, opens: Callable[[str, str], Any]) -> None:
        self._opens, self._why = opens, widgets.HTML()
        self.shown = widgets.HBox([self._why])
        self.shown.add_class("opslib-hit")

    def show(self, hit: Hit | None) -> None:
        self.shown.layout.display = "flex" if hit else "none"
        opens = (self._opens(hit.name, hit.title),) if hit else ()
        self.shown.children = (*opens, self._why)
        if hit:
            said = hit.why.removeprefix(hit.name.replace("/", " ")).strip()
            why = f"<b>{escaped(hit.name)}</b>, {_EFFECTS[hit.effect]}"
            self._why.value = f"{why}<br>{escaped(said[:120])}"


def _guide(target: str) -> Guide:
    """Raises UsageError: the target's file is broken."""
    return Guide(targets.load(target), choices.is_described)


def _understood(found: Found, said: str) -> str:
    if not found.hits:
        known = "Nothing is known yet" if found.unsure else f"Nothing is found for {said!r}"
        return escaped(f"{known}: other words, or a first look.")
    return escaped(" ".join(found.told))


def _choices() -> list[tuple[str, str]]:
    """Practice copies first; production says so, and a file that is broken."""
    names = sorted(targets.names(), key=lambda name: _kind(name) == "PRODUCTION")
    practice = [(f"{LAB}{name}", f"{LAB}{name}") for name in names]
    return practice + [(f"{name} ({_kind(name)})", name) for name in names]


def _kind(name: str) -> str:
    if name.startswith(LAB):
        return "practice copy"
    try:
        return "PRODUCTION" if targets.load(name).production else "real, not production"
    except UsageError:
        return "its file is broken"


def _marked(name: str) -> str:
    """What is chosen, in words that cannot be overlooked."""
    kind = _kind(name)
    return f'<b class="opslib-production">{kind}</b>' if kind == "PRODUCTION" else kind


def _remembered() -> str:
    """The target that was last opened; it is the name that counts, lab/ and all."""
    try:
        return _memory().read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _remember(target: str) -> None:
    with contextlib.suppress(OSError):  # then one chooses again
        files.write_atomically(_memory(), target.encode())


def _memory() -> Path:
    return places.folder() / "last-target"
