"""A report on a data set before its first run: what would stop it, each with the line of yaml to change."""

import difflib
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import yaml

from morphobench.errors import InputError

# Of these every message speaks: they are named only where nothing else is.
_PLACES = ("source", "source.location", "source.cells", "published", "published.location")
# Mappings whose keys are names of columns.
_OF_COLUMNS = ("source.columns", "source.keep", "source.derive")
# Blocks of a data set's yaml that say what its files hold.
_READ = ("source", "channels", "labels", "stratum", "targets", "outlier", "published")


class Entry(NamedTuple):
    """A value in a yaml file: its dotted key, its text and its line, counted from 1."""

    key: str
    text: str
    line: int


def entries(path: Path) -> list[Entry]:
    """List the values of a yaml file, and its mappings and lists with empty text."""

    def below(node: yaml.Node, key: str) -> Iterator[Entry]:
        yield Entry(key, node.value if isinstance(node, yaml.ScalarNode) else "", node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                first, *rest = below(value, f"{key}.{name.value}".strip("."))
                yield first._replace(line=name.start_mark.line + 1)
                yield from rest
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from below(value, key)

    root = yaml.compose(path.read_text(encoding="utf-8")) if path.is_file() else None
    return list(below(root, "")) if root else []


class Report:
    """What was found of one data set: reasons that would stop a run, remarks, and lines by section."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.stops: list[str] = []
        self.remarks: list[str] = []
        self._sections: dict[str, list[str]] = {}
        self._copies: dict[str, str] = {}
        self._entries = entries(path)

    def stop(self, reason: object, key: str) -> None:
        """Note what would stop a run, and the key of the yaml; of a place, the key that the reason names."""
        self._note(self.stops, reason, key)

    def remark(self, reason: object, key: str) -> None:
        """Note what would not stop a run, see `stop`."""
        self._note(self.remarks, reason, key)

    def call(self, copy: Path, name: str) -> None:
        """Name the file that a temporary copy was made of, in all that is noted from now on."""
        self._copies[str(copy)] = name

    def say(self, section: str, line: str) -> None:
        """Add a line to a section."""
        self._sections.setdefault(section, []).append(line)

    def verdict(self) -> str:
        """Return the report in a line."""
        verdict = (
            f"{_counted(self.stops, 'reason')} would stop a run" if self.stops else "nothing would stop a run"
        )
        return f"{self.name}: {verdict}, {_counted(self.remarks, 'remark')}"

    def text(self) -> str:
        """Return the report, what is wrong first."""
        lines = [f"# {self.verdict()}"]
        for title, notes in (("Would stop a run", self.stops), ("Remarks", self.remarks)):
            lines += ["", f"## {title}", *(f"- {note}" for note in notes)] if notes else []
        for title, body in self._sections.items():
            lines += ["", f"## {title}", *(f"- {line}" for line in body)]
        return "\n".join(lines) + "\n"

    def _note(self, notes: list[str], reason: object, key: str) -> None:
        text = " ".join(str(reason).split())
        for copy, name in self._copies.items():
            text = text.replace(copy, name)
        entry = (self._named(text) if key in _PLACES else None) or self._at(key)
        where = f"{self.path}:{entry.line} ({entry.key})" if entry else f"{self.path} ({key})"
        if (note := f"{where}: {text}") not in notes:
            notes.append(note)

    def _at(self, key: str) -> Entry | None:
        """Return the entry of a key, or of what holds it."""
        while key and not any(entry.key == key for entry in self._entries):
            key = key.rpartition(".")[0]
        return next((entry for entry in self._entries if key and entry.key == key), None)

    def _named(self, text: str) -> Entry | None:
        """Return the entry whose key or value a reason names first, before it lists what there is."""
        text, named = text.partition("(found")[0], []
        for entry in self._entries:
            if entry.key in _PLACES or not entry.key.startswith(_READ):
                continue
            above, _, last = entry.key.rpartition(".")
            last = last if above in _OF_COLUMNS else ""
            places = [_place(word, text) for word in (entry.key, entry.text, last) if len(word) > 2]
            named += [(place, entry) for place in places if place >= 0]
        return min(named, key=lambda one: one[0])[1] if named else None


def _counted(notes: list[str], noun: str) -> str:
    return f"{len(notes)} {noun}{'s' * (len(notes) != 1)}"


def _place(word: str, text: str) -> int:
    """Return where a text has a word, else -1."""
    found = re.search(rf"(?<![\w/.-]){re.escape(word)}(?![\w/-])", text)
    return found.start() if found else -1


@contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Raise an InputError in the main thread when the body takes longer, whatever it waits for."""
    is_over = False

    def end(_: int, __: FrameType | None) -> None:
        if is_over:
            return
        raise InputError(f"{what}: not told within {seconds:g} s. Check the network, then run it again.")

    before = signal.signal(signal.SIGALRM, end)
    # Again and again: a library may catch it, and try once more.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def free_gb(folder: Path) -> float:
    """Return the free gigabytes of the disk that a folder is on, or would be on."""
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e9


def hint(name: str, known: Mapping[str, object] | list[str]) -> str:
    """Return a remark on the name most like one that is missing, or nothing."""
    close = difflib.get_close_matches(name, list(map(str, known)), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
