"""What the simulated people say, spoken once by espeak-ng, as G.711 u-law for their phones."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

VOICES = {"en": "en-gb", "zh": "cmn-latn-pinyin", "id": "id"}
CALLER = {
    "en": "Hello, I have a question about my last invoice. Could you have a look, please? I see. Thank you.",
    "zh": "你好，我想问一下上个月的账单。请您帮我查一下。好的，明白了，谢谢。",
    "id": "Halo, saya mau tanya soal tagihan bulan lalu. Bisa tolong dicek? Ya. Baik. Terima kasih.",
}
AGENT = {
    "en": "Good day, thank you for calling. How can I help you? One moment, I am looking at your account.",
    "zh": "您好，感谢您的来电。请问有什么可以帮您？请稍等，我查看一下您的账户。",
    "id": "Selamat siang, terima kasih sudah menelepon. Ada yang bisa dibantu? Sebentar, saya cek dulu.",
}
PAUSE = b"\xff" * 8000  # a second of silence after each round


class Voices:
    """`caller` and `agent`: language -> u-law bytes to loop; silence where the voice could not be made."""

    def __init__(self, caller: dict[str, bytes], agent: dict[str, bytes]) -> None:
        self.caller, self.agent = caller, agent


async def load(folder: Path) -> Voices:
    """From `folder`, made there at the first run."""

    def every(texts: dict[str, str], who: str) -> dict[str, bytes]:
        return {lang: _voice(folder / f"{who}-{lang}.ul", lang, text) for lang, text in texts.items()}

    return await asyncio.to_thread(lambda: Voices(every(CALLER, "caller"), every(AGENT, "agent")))


def _voice(path: Path, language: str, text: str) -> bytes:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(speak(language, text))
        return path.read_bytes() + PAUSE
    except (OSError, subprocess.SubprocessError) as e:
        log.warning("demo: no voice for %s: %s", path.name, e)
        return PAUSE


def speak(language: str, text: str) -> bytes:
    """Text as u-law, 8 kHz. Raises OSError or subprocess.SubprocessError without espeak-ng or sox."""
    with tempfile.TemporaryDirectory() as folder:
        wav, raw = Path(folder) / "a.wav", Path(folder) / "a.ul"
        voice = ["espeak-ng", "-v", VOICES[language], "-s", "150", "-w", str(wav), text]
        subprocess.run(voice, check=True, timeout=20, capture_output=True)
        sox = ["sox", str(wav), "-t", "ul", "-r", "8000", "-c", "1", str(raw), "gain", "-n", "-6"]
        subprocess.run(sox, check=True, timeout=20, capture_output=True)
        return raw.read_bytes()
