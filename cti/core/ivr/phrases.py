"""What the server says of itself, in three languages; phrases.yaml replaces any of it and adds languages.

`{...}` is filled in by the node: a number, a value, as it is spoken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from cti.core.messages import Text

Phrases = Mapping[str, Mapping[str, str]]
Filled = Callable[[str], str]  # language -> what is said there

PHRASES: dict[str, dict[str, str]] = {
    "invalid": {
        "en": "Sorry, that was not valid.",
        "zh": "对不起，您的输入无效。",
        "id": "Maaf, pilihan Anda tidak valid.",
    },
    "timeout": {
        "en": "Sorry, we did not hear anything.",
        "zh": "对不起，没有收到您的输入。",
        "id": "Maaf, kami tidak menerima masukan Anda.",
    },
    "confirm": {
        "en": "You entered {value}. If this is right, press 1. To enter it again, press 2.",
        "zh": "您输入的是{value}。正确请按1，重新输入请按2。",
        "id": "Anda memasukkan {value}. Jika benar, tekan 1. Untuk mengulang, tekan 2.",
    },
    "yes": {"en": "yes", "zh": "是", "id": "ya"},
    "no": {"en": "no", "zh": "否", "id": "tidak"},
    "callback_offer": {
        "en": "We will call you back on {number}. If this is right, press 1. For another number, press 2.",
        "zh": "我们将回拨{number}。正确请按1，使用其他号码请按2。",
        "id": "Kami akan menelepon Anda kembali di {number}. Jika benar, tekan 1. Untuk nomor lain, tekan 2.",
    },
    "callback_enter": {
        "en": "Please enter the number we should call, then press hash.",
        "zh": "请输入您的回拨号码，按井号键结束。",
        "id": "Silakan masukkan nomor yang harus kami telepon, lalu tekan pagar.",
    },
    "callback_done": {
        "en": "Thank you. We will call you back.",
        "zh": "谢谢，我们会尽快给您回电。",
        "id": "Terima kasih. Kami akan menelepon Anda kembali.",
    },
    "voicemail": {
        "en": "Please leave a message after the tone. Press any key when you have finished.",
        "zh": "请在提示音后留言，留言结束请按任意键。",
        "id": "Silakan tinggalkan pesan setelah nada. Tekan tombol apa saja bila selesai.",
    },
    "card": {
        "en": "Please enter your card number, then press hash.",
        "zh": "请输入您的卡号，按井号键结束。",
        "id": "Silakan masukkan nomor kartu Anda, lalu tekan pagar.",
    },
    "expiry": {
        "en": "Please enter the month and the year in which the card expires, two digits each.",
        "zh": "请输入卡片有效期，月份和年份各两位数字。",
        "id": "Silakan masukkan bulan dan tahun kedaluwarsa kartu, masing-masing dua angka.",
    },
    "code": {
        "en": "Please enter the security code on the card, then press hash.",
        "zh": "请输入卡片安全码，按井号键结束。",
        "id": "Silakan masukkan kode keamanan kartu, lalu tekan pagar.",
    },
    "pin": {
        "en": "Please enter your PIN, then press hash.",
        "zh": "请输入您的密码，按井号键结束。",
        "id": "Silakan masukkan PIN Anda, lalu tekan pagar.",
    },
    "pin_wrong": {
        "en": "This PIN is not right.",
        "zh": "密码不正确。",
        "id": "PIN tidak benar.",
    },
    "queue_next": {
        "en": "You are next in line.",
        "zh": "您排在第一位。",
        "id": "Anda berikutnya dalam antrean.",
    },
    "queue_place": {
        "en": "You are number {place} in line.",
        "zh": "您目前排在第{place}位。",
        "id": "Anda berada di urutan nomor {place} dalam antrean.",
    },
    "queue_wait": {
        "en": "You will wait about {wait}.",
        "zh": "您大约需要等待{wait}。",
        "id": "Perkiraan waktu tunggu Anda sekitar {wait}.",
    },
}
BLANKS = ("{value}", "{number}", "{place}", "{wait}")


def phrase(own: Phrases, name: str, languages: Iterable[str]) -> tuple[str, str]:
    """(language, text) of a phrase in the first of these languages that has it, else in English."""
    texts = {**PHRASES[name], **own.get(name, {})}
    for language in languages:
        for spelling in (language, language.partition("-")[0]):
            if spelling in texts:
                return language, texts[spelling]
    return "en", texts["en"]


def filled_in(text: str, language: str, filled: Mapping[str, Filled]) -> str:
    """What is filled in is said in the language of the text."""
    for word, said in filled.items():
        text = text.replace(f"{{{word}}}", said(language))
    return text


def constant(own: Phrases, languages: Collection[str]) -> Iterator[Text]:
    """Those that nothing is filled into, in these languages."""
    for name in PHRASES:
        for language in languages:
            spoken, text = phrase(own, name, (language,))
            if "{" not in text:
                yield Text(language=spoken, text=text)
