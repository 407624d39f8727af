"""Letters that look like Latin ones, in lower case: after Unicode's confusables (UTS 39), as far as they deceive.

`LOOKALIKES` are letters of other scripts, which mean themselves in words of their own. `LATIN_FORMS` are forms of Latin
letters that have no decomposition.
"""

from __future__ import annotations

from typing import Final

_CYRILLIC = dict(zip("авекмнорстухѕіјӏԁһԛԝѵгпь", "abekmhopctyxsijldhqwvrnb", strict=True))
_GREEK = dict(zip("αβγεηικμνορτυχωϲϳ", "abyenikuvoptuxwcj", strict=True))
_ARMENIAN = dict(zip("աոօսհզցյք", "wnouhqgjp", strict=True))

LOOKALIKES: Final = {**_CYRILLIC, **_GREEK, **_ARMENIAN}

_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True))
_TURNED = dict(zip("ɑɡıȷɩɐɔǝɯɹʇʌʍʎøłđħŧƒɓɗɠƙƥƭʋƴ", "agijiacemrtvwyoldhtfbdgkptvy", strict=True))
_CIRCLED = {chr(first + i): chr(97 + i) for first in (0x1F150, 0x1F170) for i in range(26)}
_REGIONAL = {chr(0x1F1E6 + i): chr(97 + i) for i in range(26)}

LATIN_FORMS: Final = {**_SMALL_CAPITALS, **_TURNED, **_CIRCLED, **_REGIONAL, "æ": "ae", "œ": "oe", "ß": "ss"}
