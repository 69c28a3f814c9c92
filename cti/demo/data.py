"""Who is in the demo: users, stations and 200 customers. The same at every run; no real person or line."""

from __future__ import annotations

import random
from dataclasses import dataclass

HISTORY_DAYS = 14  # how many days of history


@dataclass(frozen=True)
class Person:
    """A user. `station` and `skills` only for those who take calls."""

    name: str
    display_name: str
    role: str
    station: str = ""
    skills: tuple[tuple[str, int], ...] = ()
    language: str = "en"

    @property
    def password(self) -> str:
        return f"demo-{self.name}"


def _agent(name: str, display: str, station: str, language: str, **skills: int) -> Person:
    return Person(name, display, "agent", station, tuple(skills.items()), language)


SIMULATED = (
    _agent("ani", "Ani Lestari", "2001", "id", sales=7, english=4, indonesian=9),
    _agent("budi", "Budi Santoso", "2002", "id", support=8, english=4, indonesian=9),
    _agent("chen", "陈静", "2003", "zh", sales=6, support=5, english=5, chinese=9),
    _agent("dewi", "Dewi Anggraini", "2004", "id", sales=5, support=6, english=6, indonesian=9),
)
YOU = _agent("you", "You", "2009", "en", sales=5, support=5, english=9, chinese=3, indonesian=3)
STAFF = (
    Person("sup", "Sri Wahyuni", "supervisor"),
    Person("admin", "Admin", "admin"),
)
PEOPLE = (*SIMULATED, YOU, *STAFF)

CHINESE = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡林",
    "伟 芳 娜 敏 静 丽 强 磊 洋 勇 艳 杰 娟 涛 明 超 小明 秀英 建国 海燕 志强 雪梅",
)
INDONESIAN = (
    "Siti Agus Rina Joko Putri Bambang Wulan Hendra Maya Rizky Indah Fajar Ratna Yusuf Lina Eko",
    "Wijaya Kusuma Hartono Pratama Susanti Nugroho Rahayu Setiawan Permata Saputra Utami Gunawan",
)
ENGLISH = (
    "Alice Oliver Grace Henry Sophie Thomas Emma Daniel Chloe Samuel Ruth Peter Zoe Liam",
    "Baker Carter Hughes Morgan O'Brien Palmer Quinn Reed Shaw Turner Wells Young",
)
COMPANIES = (None, None, None, "PT Maju Bersama", "华夏贸易", "Blue Harbour Ltd", "CV Sinar Pagi", "东方物流")
TIERS = ("standard",) * 7 + ("silver",) * 2 + ("vip",)
TITLES = {
    "en": (
        "Invoice shows the wrong amount",
        "Delivery is late",
        "Wants to upgrade the plan",
        "Router keeps restarting",
    ),
    "zh": ("发票金额有误", "快递延误", "想升级套餐", "路由器经常重启"),
    "id": ("Tagihan tidak sesuai", "Kiriman terlambat", "Ingin menaikkan paket", "Router sering mati"),
}
NOTES = {
    "en": ("Prefers calls in the afternoon.", "Was very friendly.", "Asked for a written offer."),
    "zh": ("希望下午联系。", "客户很友好。", "要求书面报价。"),
    "id": ("Lebih suka dihubungi sore hari.", "Sangat ramah.", "Minta penawaran tertulis."),
}


@dataclass(frozen=True)
class Customer:
    """`numbers` in E.164, the first is the one they call from. `case` and `note` are empty when none."""

    name: str
    language: str
    numbers: tuple[str, ...]
    tier: str
    company: str | None
    email: str
    case: str
    note: str


def customers() -> list[Customer]:
    """200 of them. Every fortieth shares a number with the one before: one number, two customers."""
    dice = random.Random(2026)
    made: list[Customer] = []
    names: set[str] = set()
    while len(made) < 200:
        language = dice.choice(("zh", "zh", "id", "id", "id", "en", "en"))
        name = _name(language, dice)
        if name not in names:
            names.add(name)
            shared = made[-1].numbers[0] if len(made) % 40 == 39 else ""
            made.append(_customer(len(made), name, language, shared, dice))
    return made


def _name(language: str, dice: random.Random) -> str:
    if language == "zh":
        return dice.choice(CHINESE[0]) + dice.choice(CHINESE[1].split())
    first, last = INDONESIAN if language == "id" else ENGLISH
    return f"{dice.choice(first.split())} {dice.choice(last.split())}"


def _customer(n: int, name: str, language: str, shared: str, dice: random.Random) -> Customer:
    numbers = [shared or number(language, n)]
    if dice.random() < 0.2:
        numbers.append(number(language, 500 + n))
    return Customer(
        name=name,
        language=language,
        numbers=tuple(numbers),
        tier=dice.choice(TIERS),
        company=dice.choice(COMPANIES),
        email=f"customer{n + 1:03d}@example.com",
        case=dice.choice(TITLES[language]) if dice.random() < 0.3 else "",
        note=dice.choice(NOTES[language]) if dice.random() < 0.35 else "",
    )


def number(language: str, n: int) -> str:
    """A number that looks right and belongs to nobody: unused blocks, and the range kept for fiction."""
    prefix = {"zh": "+861660000", "id": "+62870000", "en": "+4420794600"}[language]
    return f"{prefix}{n:04d}" if language != "en" else f"+4420794{60000 + n:05d}"
