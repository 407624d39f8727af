"""Words of which an order to a model has one, as a rule, in the disguises that `content.disguise` undoes.

Signs alone: what is made of a message is looked through by the detectors of instructions, and they decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_WORDS: Final = (
    *("ignor", "disreg", "forget", "instruc", "instruk", "prompt", "system", "sistem", "previous", "reveal"),
    *(
        "pretend",
        "restric",
        "assistant",
        "guideline",
        "override",
        "everything",
        "repeat",
        "attention",
        "include",
    ),
    *(
        "environment",
        "anweisung",
        "benutzer",
        "consigne",
        "utilisat",
        "usuari",
        "utente",
        "istruz",
        "gebruik",
    ),
    *(
        "talimat",
        "kullan",
        "pengguna",
        "nguoi",
        "perintah",
        "vorherig",
        "olvid",
        "oubli",
        "negeer",
        "abaikan",
    ),
    *(
        "esquec",
        "descons",
        "dimentic",
        "zignor",
        "onceki",
        "regeln",
        "missacht",
        "polecen",
        "secret",
        "vergiss",
        *(
            "variab",
            "variav",
            "umgebungs",
            "zmienn",
            "passw",
            "contras",
            "senha",
            "credenz",
            "credenc",
            "wachtw",
        ),
        *("hasla", "clave", "sleutel", "schluss", "kunci", "parola", "chiav", "einschr", "restriz", "beperk"),
        *(
            "ogranicz",
            "batasan",
            "unzens",
            "censur",
            "uncens",
            "unrestr",
            "filtr",
            "execut",
            "esegui",
            "ejecut",
        ),
        *(
            "jalankan",
            "uruchom",
            "nieuwe",
            "nouvel",
            "nuev",
            "nuov",
            "novas",
            "perint",
            "utiliz",
            "uzytkow",
            "gizli",
        ),
    ),
)
_SHORT: Final = ("send", "user", "https", "tell", "curl")
"""Only where letters are apart."""

_FOREIGN: Final = (
    *(
        "игнор",
        "инстру",
        "указан",
        "систем",
        "пользов",
        "забудь",
        "ігнор",
        "інстру",
        "вказів",
        "корист",
        "https",
    ),
    *(
        "指令",
        "指示",
        "忽略",
        "无视",
        "無視",
        "系统",
        "系統",
        "命令",
        "用户",
        "ユーザ",
        "プロンプト",
        "設定",
        "设定",
    ),
    *("지시", "지침", "무시", "사용자", "시스템", "تجاهل", "تعليم", "المستخد", "النظام", "निर", "सिस", "आदेश"),
)
MARKS: Final = (" ", ".", "-", "_", "*", "|", "/")
"""What stands between letters. Words are then apart by more of it, or by something else."""

_DIGITS: Final = {"a": "4@", "b": "8", "e": "3", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7"}


def _list_digits(word: str) -> Iterator[str]:
    """By which letter is the first to be a digit; what follows may be either."""
    for place, letter in enumerate(word):
        if digits := _DIGITS.get(letter):
            rest = (f"[{each}{_DIGITS[each]}]" if each in _DIGITS else each for each in word[place + 1 :])
            yield f"{word[:place]}[{digits}]{''.join(rest)}"


def _join(words: Iterator[str]) -> str:
    return "(?i:" + "|".join(words) + ")"


APART: Final = (
    *(_join(re.escape(mark).join(word) for word in (*_WORDS, *_SHORT)) for mark in MARKS),
    "|".join(" ".join(word) for word in _FOREIGN),
)
DIGITS: Final = _join(each for word in _WORDS for each in _list_digits(word))
