"""Notes: texts that are not there in a caller's language, and texts in a language that nobody is led to."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cti.core.ivr.model import Flow, speeches
from cti.core.ivr.source import Reader


def note(reader: Reader, flow: Flow, spoken_in: Iterable[str], led_to: Collection[str] | None) -> None:
    """`spoken_in`: what callers of this flow may speak. `led_to`: what those of any flow may; None: any language."""
    held = [(key, speech.texts) for key, node in flow.nodes.items() for speech in speeches(node.spec) if speech.texts]
    for code in spoken_in:
        missing = [key for key, texts in held if not {code, _base(code)} & texts.keys()]
        if missing:
            told = f"{len(missing)} of {len(held)} texts are not there in `{code}`, `{flow.language}` is heard instead"
            reader.note(("nodes", missing[0]), f"{told}: from `{missing[0]}` on")
    if led_to is not None:
        heard = {*led_to, *map(_base, led_to)}
        for code, key in {code: key for key, texts in reversed(held) for code in texts if code not in heard}.items():
            reader.note(("nodes", key), f"nobody hears `{code}`: no number and no `language` node leads to it")


def _base(code: str) -> str:
    return code.partition("-")[0]
