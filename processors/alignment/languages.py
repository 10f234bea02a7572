"""Languages that can be aligned: BCP-47 tags, and the espeak-ng voice that speaks each."""

from __future__ import annotations

import unicodedata
from collections import Counter

_VOICES = """
af=gmw/af am=sem/am an=roa/an ar=sem/ar as=inc/as az=trk/az ba=trk/ba be=zle/be bg=zls/bg
bn=inc/bn bpy=inc/bpy bs=zls/bs ca=roa/ca ca-ba=roa/ca-ba ca-nw=roa/ca-nw ca-va=roa/ca-va
chr-us-qaaa-x-west=iro/chr cmn=sit/cmn cmn-latn-pinyin=sit/cmn-Latn-pinyin cs=zlw/cs cv=trk/cv
cy=cel/cy da=gmq/da de=gmw/de el=grk/el en-029=gmw/en-029 en-gb=gmw/en
en-gb-scotland=gmw/en-GB-scotland en-gb-x-gbclan=gmw/en-GB-x-gbclan
en-gb-x-gbcwmd=gmw/en-GB-x-gbcwmd en-gb-x-rp=gmw/en-GB-x-rp en-shaw=gmw/en-Shaw en-us=gmw/en-US
en-us-nyc=gmw/en-US-nyc eo=art/eo es=roa/es es-419=roa/es-419 et=urj/et eu=eu fa=ira/fa
fa-latn=ira/fa-Latn fi=urj/fi fo=gmq/fo fr-be=roa/fr-BE fr-ch=roa/fr-CH fr-fr=roa/fr ga=cel/ga
gd=cel/gd gn=sai/gn grc=grk/grc gu=inc/gu hak=sit/hak haw=map/haw he=sem/he hi=inc/hi hr=zls/hr
ht=roa/ht hu=urj/hu hy=ine/hy hyw=ine/hyw ia=art/ia id=poz/id io=art/io is=gmq/is it=roa/it
ja=jpx/ja jbo=art/jbo ka=ccs/ka kaa=trk/kaa kk=trk/kk kl=esx/kl kn=dra/kn ko=ko kok=inc/kok
ku=ira/ku ky=trk/ky la=itc/la lb=gmw/lb lfn=art/lfn lt=bat/lt ltg=bat/ltg lv=bat/lv mi=poz/mi
mk=zls/mk ml=dra/ml mr=inc/mr ms=poz/ms mt=sem/mt mto=miz/mto my=sit/my nb=gmq/nb nci=azc/nci
ne=inc/ne nl=gmw/nl nog=trk/nog om=cus/om or=inc/or pa=inc/pa pap=roa/pap piqd=art/piqd pl=zlw/pl
pt=roa/pt pt-br=roa/pt-BR py=art/py qdb=art/qdb qu=qu quc=myn/quc qya=art/qya ro=roa/ro ru=zle/ru
ru-cl=zle/ru-cl ru-lv=zle/ru-LV sd=inc/sd shn=tai/shn si=inc/si sjn=art/sjn sk=zlw/sk sl=zls/sl
smj=urj/smj sq=ine/sq sr=zls/sr sv=gmq/sv sw=bnt/sw ta=dra/ta te=dra/te th=tai/th ti=sem/ti
tk=trk/tk tn=bnt/tn tr=trk/tr tt=trk/tt ug=trk/ug uk=zle/uk ur=inc/ur uz=trk/uz vi=aav/vi
vi-vn-x-central=aav/vi-VN-x-central vi-vn-x-south=aav/vi-VN-x-south xex=art/xex yue=sit/yue
"""

VOICES: dict[str, str] = {
    tag: voice for tag, _, voice in (entry.partition("=") for entry in _VOICES.split())
}
"""Lower-case language tag → espeak-ng voice; a test compares it with the library's own list."""

LANGUAGES: tuple[str, ...] = tuple(sorted(VOICES))
"""Every language tag that lyrics may name (shorter and longer tags resolve to these)."""

_ALIASES = {
    "en": "en-us",  # the acoustic model is US English
    "fr": "fr-fr",
    "zh": "cmn",
    "no": "nb",
    "nn": "nb",
    "iw": "he",
    "in": "id",
    "mo": "ro",
    "sh": "hr",
    "hbs": "hr",
    "chr": "chr-us-qaaa-x-west",
    "es-mx": "es-419",
    "es-us": "es-419",
    "pt-pt": "pt",
    "zh-yue": "yue",
    "zh-hk": "yue",
    "fil": "id",  # espeak has no Tagalog; Indonesian reads its spelling nearly the same
    "tl": "id",
}

_SCRIPTS = {
    "CYRILLIC": "ru be bg uk mk sr kk ky tt ba cv nog ru-cl ru-lv bs hr",
    "ARABIC": "ar fa ur sd ug ku",
    "HEBREW": "he",
    "GREEK": "el grc",
    "CJK": "cmn yue hak",  # espeak's Japanese can't read kanji: it says "Chinese letter"
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "DEVANAGARI": "hi mr ne kok bpy",
    "BENGALI": "bn as bpy",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "ORIYA": "or",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "MYANMAR": "my shn",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy hyw",
    "ETHIOPIC": "am ti om",
    "CHEROKEE": "chr-us-qaaa-x-west",
    "SHAVIAN": "en-shaw",
}
"""Unicode script → the languages written in it, the one that reads it for all others first."""

_OTHER_THAN_LATIN = """
ru be bg uk mk kk ky tt ba cv nog ru-cl ru-lv ar fa ur sd ug he el grc cmn yue hak ja ko hi mr ne
kok bpy bn as pa gu or ta te
kn ml si th my shn ka hy hyw am ti chr-us-qaaa-x-west en-shaw
"""
_NOT_LATIN = frozenset(_OTHER_THAN_LATIN.split())
"""Languages whose voice spells Latin letters out or guesses: an English voice reads those words."""


class UnknownLanguage(ValueError):
    """The language tag names no language that can be pronounced."""

    code = "unknown_language"

    def __init__(self, language: str) -> None:
        super().__init__(
            f"alignment: no pronunciation is known for language {language!r}; "
            "use a BCP-47 tag such as 'en', 'ru' or 'pt-BR' "
            f"({len(LANGUAGES)} languages are known, as espeak-ng has them)"
        )
        self.language = language


def resolve(language: str) -> str:
    """The entry of ``LANGUAGES`` that a BCP-47 tag means: itself, an alias, or its shortest prefix.

    ``pt_BR`` → ``pt-br``, ``de-AT`` → ``de``, ``en`` → ``en-us``. Raises ``UnknownLanguage``.
    """
    tag = language.strip().lower().replace("_", "-")
    while tag:
        if tag in VOICES:
            return tag
        if tag in _ALIASES:
            return _ALIASES[tag]
        tag = tag.rpartition("-")[0]
    raise UnknownLanguage(language)


def script(word: str) -> str | None:
    """The Unicode script of most of a word's letters (``LATIN``, ``CYRILLIC`` …), None without."""
    scripts = Counter(
        unicodedata.name(letter, "UNKNOWN").split()[0].partition("-")[0]
        for letter in word
        if unicodedata.category(letter).startswith("L")
    )
    return scripts.most_common(1)[0][0] if scripts else None


def reader(word: str, language: str) -> str:
    """The language whose voice reads a word in lyrics of ``language`` (resolved), by its script."""
    written = script(word)
    if written is None:
        return language
    if written == "LATIN":
        return "en-us" if language in _NOT_LATIN else language
    speakers = _SCRIPTS.get(written, "").split()
    if not speakers or language in speakers:
        return language
    return speakers[0]
