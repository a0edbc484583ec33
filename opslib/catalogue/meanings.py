"""What words mean: texts in SQLite's full-text index (FTS5), and words.yaml over them."""

import math
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from opslib.core import UsageError, beside

_UNSURE = "unsure"  # what is meant by "I do not know yet"
_WORD = re.compile(r"[^\W_]+")
_WHOLE = 9.0  # of a text that says what was asked and nothing else: more than all the rest
_ENDINGS = 4  # so many are tried of a word that is being typed
_ALIKE = 0.8  # of difflib: one letter of five is wrong


class Row(NamedTuple):
    """A text, what it is of, and its kind: title, symptom, heading, alarm, note, prose."""

    of: str
    kind: str
    text: str


class Asked(NamedTuple):
    """What was said: words that tell something, meanings, and where one starts for each.

    `read`: words that were read as others. `unsure`: it was said that nothing is known.
    """

    words: Sequence[str]
    meant: Sequence[str]
    starts: Sequence[Sequence[str]]
    read: Mapping[str, str]
    unsure: bool
    told: frozenset[str]  # every word that says something


class Index:
    """Texts to be found by what is meant, with any inflection and a letter or two wrong."""

    def __init__(self, rows: Sequence[Row]) -> None:
        said = beside(__file__, "words")
        self._starts = {name: each.get("first", []) for name, each in said["means"].items()}
        self._queries = {name: _any_of(each["said"]) for name, each in said["means"].items()}
        self._weights = said["weights"]
        self._nothing = set(_words(said["nothing"]))
        every = [row.text for row in rows]
        every += [" ".join(map(str, each["said"])) for each in said["means"].values()]
        self._known = {word for text in every for word in _words(text)} | self._nothing
        self._rare = math.log(len(rows) + 2)
        # of any thread, one at a time: JupyterLab handles what is typed in another than cells
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        for table in ("rows", "known", "asked"):
            self._db.execute(
                f"CREATE VIRTUAL TABLE {table} USING fts5"
                "(text, means, of UNINDEXED, kind UNINDEXED, tokenize='porter unicode61')"
            )
        self._db.execute("INSERT INTO known (text) VALUES (?)", (" ".join(self._known),))
        self._db.executemany("INSERT INTO rows (of, kind, text) VALUES (?, ?, ?)", rows)
        for name, query in self._queries.items():
            self._db.execute(
                "UPDATE rows SET means = ifnull(means, '') || ? WHERE kind != 'prose' "
                "AND rowid IN (SELECT rowid FROM rows WHERE rows MATCH ?)",
                (f" {_key(name)}", query),
            )

    def begun(self, said: str) -> list[str]:
        """What it may become while it is typed: its last word may not be whole."""
        *before, last = said.lower().split() or [""]
        if len(last) < 2 and before:
            return [" ".join(before)]
        if len(last) < 2 or last in self._known:
            return [said]
        longer = sorted((w for w in self._known if w.startswith(last)), key=lambda w: (len(w), w))
        return [said, *(" ".join([*before, word]) for word in longer[:_ENDINGS])]

    def understood(self, said: str) -> Asked:
        """What somebody says. Raises UsageError: there is no word in it."""
        words = _words(said)
        if not words:
            raise UsageError('Say what is seen, in any words: opslib find "people cannot log in".')
        nearest = {word: self._nearest(word) for word in words}
        words = [nearest[word] for word in words]
        self._db.execute("DELETE FROM asked")
        self._db.execute("INSERT INTO asked (text) VALUES (?)", (" ".join(words),))
        places = {name: self._places(query) for name, query in self._queries.items()}
        spans = {span for each in places.values() for span in each}
        longest = {a for a in spans if not any(a < b for b in spans)}  # "log in" is of no log
        meant = [name for name, each in places.items() if longest & each]
        alone = [
            word
            for place, word in enumerate(words)
            if word not in self._nothing and not any({place} < span for span in longest)
        ]
        phrases = [" ".join(words[place] for place in sorted(s)) for s in longest if len(s) > 1]
        return Asked(
            alone + phrases,
            [name for name in meant if name != _UNSURE],
            [self._starts[name] for name in meant],
            {word: near for word, near in nearest.items() if near != word},
            _UNSURE in meant,
            frozenset(words) - self._nothing,
        )

    def _places(self, query: str) -> set[frozenset[int]]:
        """Where a query is met in what was asked: the places of the words of each phrase."""
        marked = "SELECT highlight(asked, 0, '<', '>') FROM asked WHERE asked MATCH ?"
        found: set[frozenset[int]] = set()
        for (text,) in self._db.execute(marked, (query,)):
            begun = 0
            for place, word in enumerate(text.split()):
                begun = place if word[0] == "<" else begun
                if word[-1] == ">":
                    found.add(frozenset(range(begun, place + 1)))
        return found

    def rows(self, asked: Asked) -> dict[str, list[tuple[float, str]]]:
        """The texts with what was asked, by what they are of: how well each fits, and it.

        Of a note, which is made of names and values, only how well.
        A rare word in a short text is about 1, however many texts there are.
        """
        parts = [f'text : "{word}"' for word in asked.words]
        parts += [f"means : {_key(meaning)}" for meaning in asked.meant]
        found: dict[str, list[tuple[float, str]]] = {}
        query = "SELECT of, kind, text, -bm25(rows) FROM rows WHERE rows MATCH ?"
        for of, kind, text, fits in self._db.execute(query, (" OR ".join(parts),)):
            shown = "" if kind == "note" else text
            whole = kind != "prose" and asked.told == {*_words(text)} - self._nothing
            score = _WHOLE if whole else fits * self._weights[kind] / self._rare
            found.setdefault(of, []).append((score, shown))
        return found

    def _any(self, table: str, query: str) -> bool:
        rows = self._db.execute(f"SELECT 1 FROM {table} WHERE {table} MATCH ?", (query,))
        return rows.fetchone() is not None

    def _nearest(self, word: str) -> str:
        """The word itself when it is known in some inflection, else the one that was meant."""
        if len(word) < 4 or not word.isalpha() or self._any("known", _any_of([word])):
            return word
        turned = sorted(known for known in self._known if sorted(known) == sorted(word))
        alike = get_close_matches(word, sorted(self._known), 5, _ALIKE)
        return next(iter([*turned, *(known for known in alike if known[0] == word[0])]), word)


def _any_of(phrases: Iterable[object]) -> str:
    """A query for one of some phrases; where one has a …, there may be other words."""
    queries = []
    for phrase in phrases:
        parts = [" ".join(_WORD.findall(part)) for part in str(phrase).split("…")]
        quoted = " ".join(f'"{part}"' for part in parts)
        queries.append(f"NEAR({quoted}, 4)" if parts[1:] else quoted)
    return f"text : ({' OR '.join(queries)})"


def _words(said: str) -> list[str]:
    """In small letters; a name like NoSuchBucket also as the words that it is made of."""
    names = re.findall(r"\b(?:[A-Z]+[a-z]+){2,}\b", said)
    parts = [part for name in names for part in re.findall(r"[A-Z]+[a-z]+", name)]
    return [word.lower() for word in _WORD.findall(" ".join([said, *parts]))]


def _key(meaning: str) -> str:
    return "means" + meaning.replace(" ", "")
