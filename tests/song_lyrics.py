"""Words to sing, written for these songs."""

from __future__ import annotations

import numpy as np

_ENGLISH_VERSES = (
    "Morning comes in silver over the town,",
    "I was waiting by the window alone.",
    "Every street remembers where we ran,",
    "Carry me home along the river tonight.",
    "The radio is playing something old,",
    "Paper boats are drifting under the bridge.",
    "Summer left a letter in the door,",
    "Nobody told me winter would be kind.",
    "Lanterns on the water, slow and gold,",
    "We were only children counting trains.",
    "Tell me all the stories that you know,",
    "There's a garden growing in the dark.",
    "Yesterday is folded in my coat,",
    "Seven hills between your house and mine.",
)
_ENGLISH_CHORUSES = (
    ("So sing with me until the daylight breaks,", "Sing with me, the night is never long!"),
    ("Hold on, hold on, the light is coming in,", "Hold on, I can hear you calling me!"),
    ("Oh, run away with me across the sea,", "We'll find another shore before the dawn!"),
)
_RUSSIAN_VERSES = (
    "Над рекою медленно встаёт рассвет,",
    "Я иду один по тихой мостовой.",
    "Старый дом давно забыл мои шаги,",
    "Тёплый ветер гладит спящие поля.",
    "Поезд унесёт меня на край земли,",
    "В комнате играет радио чуть слышно.",
    "За окном качается фонарь,",
)
_RUSSIAN_CHORUSES = (
    ("Пой со мной, пока горит звезда,", "Пой со мной, дорога далека!"),
    ("Подожди, не уходи, весна,", "Подари мне голос тишины!"),
)


def draw(language: str, random: np.random.Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Verse lines in a random order and the lines of one chorus."""
    verses = _RUSSIAN_VERSES if language == "ru" else _ENGLISH_VERSES
    choruses = _RUSSIAN_CHORUSES if language == "ru" else _ENGLISH_CHORUSES
    order = random.permutation(len(verses))
    return (
        tuple(verses[int(i)] for i in order),
        choruses[int(random.integers(len(choruses)))],
    )


def spoken(word: str) -> str:
    """A word without the punctuation around it, for the voice."""
    return word.strip(",.!?;:—").lower()
