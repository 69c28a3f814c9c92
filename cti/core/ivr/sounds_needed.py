"""Recorded prompts must be there in every language that a flow can be heard in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from cti.core.ivr import model
from cti.core.ivr.beside import Beside
from cti.core.ivr.model import Node
from cti.core.ivr.source import Path, Reader


class Draft(Protocol):
    """A flow being read."""

    reader: Reader
    name: str
    made: dict[str, Node]


def check_sounds(
    drafts: Iterable[Draft], spoken_in: Mapping[str, list[str]], sounds: Collection[str], around: Beside
) -> None:
    """Of nodes, and of the boxes and surveys that they use."""

    def spoken(spec: model.Spec) -> Iterable[model.Speech]:
        return (*model.speeches(spec), *model.beside(spec, around.boxes, around.surveys))

    for draft in drafts:
        for key, node in draft.made.items():
            for prompt in (prompt for speech in spoken(node.spec) for prompt in speech.names):
                for code in sorted(spoken_in[draft.name]):
                    check_sound(draft.reader, ("nodes", key, "play"), code, prompt, sounds)


def check_sound(reader: Reader, path: Path, code: str, prompt: str, sounds: Collection[str]) -> None:
    file = f"prompts/{code}/{prompt}.wav"
    if file in sounds:
        return
    names = {sound.rpartition("/")[2].removesuffix(".wav") for sound in sounds}
    if prompt in names or not names:
        reader.wrong(path, f"the prompt {file} is missing", "`cti flow prompts import` puts one there, or use `say`")
    else:
        reader.unknown(path, f"the prompt {file} is missing", prompt, names)
