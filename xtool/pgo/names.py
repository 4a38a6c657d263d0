"""Names that stand for folders, machine and Python in a profile, and what they stand for in one build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PLATFORM, _PYTHON, _TRIPLET = "@platform@", "@python@", "@triplet@"


@dataclass(frozen=True, slots=True)
class Names:
    """What is called otherwise in another build of the same project.

    Args:
        folders: pairs of a folder and the name that stands for it, as passed to `-ffile-prefix-map`; several
            of one name are spellings of one folder.
        platform: the target as build folders have it (`linux-ppc64le`).
        python: the Python as build folders have it (`cpython-313`).
        triplet: the target as the compiler's folders have it (`powerpc64le-linux-gnu`).
    """

    folders: tuple[tuple[Path, str], ...]
    platform: str = ""
    python: str = ""
    triplet: str = ""

    def abstract(self, text: str) -> str:
        """A path with names for what differs between builds."""
        for folder, name in sorted(self.folders, key=lambda item: -len(str(item[0]))):
            text = _replace_folder(text, str(folder), name)
            # distutils puts the objects of sources that it is given by absolute path below the build folder.
            text = text.replace(f"{str(folder).lstrip('/')}/", f"@{name}@/")
        for word, name in self._words:
            text = text.replace(word, name)
        return text

    def abstract_key(self, place: str, aux: str) -> str:
        """What tells an object from others in every build (`ObjectProfile.key`)."""
        aux = self.abstract(aux)
        return aux if aux.startswith("/") else f"{self.abstract(place)}/{aux}"

    @property
    def _words(self) -> Sequence[tuple[str, str]]:
        words = ((self.triplet, _TRIPLET), (self.platform, _PLATFORM), (self.python, _PYTHON))
        return [(word, name) for word, name in words if word]

    def concrete(self, text: str) -> str:
        """The path that a name stands for in this build."""
        return self.candidates(text)[0]

    def shown(self, text: str) -> str:
        """A path for people: folders by the names that stand for them, machine and Python as they are."""
        for word, name in self._words:
            text = text.replace(name, word)
        return text.removeprefix("./")

    def candidates(self, text: str) -> Sequence[str]:
        """All spellings of the path that a name stands for in this build, GCC's own first.

        GCC finds its own headers by the resolved path of its program, and others as it was told.
        """
        for word, name in self._words:
            text = text.replace(name, word)
        found = [text]
        for name, folders in self._by_name().items():
            if f"@{name}@/" in text:
                found = [text.replace(f"@{name}@/", f"{str(folder).lstrip('/')}/") for folder in folders]
                break
            if text == name or text.startswith(f"{name}/"):
                found = [str(folder) + text.removeprefix(name) for folder in folders]
                break
        return found

    def _by_name(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for folder, name in self.folders:
            found.setdefault(name, []).append(folder)
        for name, folders in found.items():
            if name.startswith("/xtool/toolchain"):
                folders.reverse()
        return found


def _replace_folder(text: str, folder: str, name: str) -> str:
    if text == folder or text.startswith(f"{folder}/"):
        return name + text.removeprefix(folder)
    return text
