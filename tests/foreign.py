"""Songs in languages that `tests.songs` does not sing, made of its parts; words of our own."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from processors.audio.samples import Audio
from tests import song_band, songs
from tests.song_band import RATE
from tests.song_voice import Voice
from tests.songs import Song

LYRICS: dict[str, tuple[str, ...]] = {
    "es": (
        "La luna baja despacio por la calle,",
        "yo guardo tu nombre debajo del mar.",
        "Mañana la lluvia cantará conmigo,",
        "abre la ventana, deja el sol entrar.",
        "Nadie me espera en la vieja estación.",
    ),
    "de": (
        "Über den Dächern geht leise der Wind,",
        "ich suche die Straße, die keiner mehr kennt.",
        "Morgen vergessen wir, wer wir heut sind,",
        "solange die Lampe im Fenster noch brennt.",
        "Komm mit mir bis an das Ende der Nacht.",
    ),
    "fr": (
        "La neige descend sur les toits du village,",
        "je cherche ta voix dans le bruit de la nuit.",
        "Demain nous prendrons le chemin des nuages,",
        "une lampe s'allume et le doute s'enfuit.",
        "Donne-moi la main jusqu'au bout du voyage.",
    ),
    "it": (
        "Scende la sera sui tetti lontani,",
        "cerco il tuo passo tra mille città.",
        "Porto il silenzio stretto tra le mani,",
        "forse domani la neve verrà.",
        "Dimmi che resta di questa canzone.",
    ),
    "pt": (
        "A noite chegou devagar na cidade,",
        "eu guardo no bolso o calor do verão.",
        "Amanhã a chuva traz a saudade,",
        "abre a janela do teu coração.",
        "Ninguém nos espera no fim desta rua.",
    ),
    "nl": (
        "De regen valt zacht op de daken vannacht,",
        "ik zoek in het donker de weg naar jouw deur.",
        "Morgen vertrekt er een schip uit de haven,",
        "niemand vertelde me waar het naartoe ging.",
        "Zing nog een keer van de zee en de wind.",
    ),
    "pl": (
        "Nad rzeką powoli zapada już zmierzch,",
        "szukam twojego imienia na mapie.",
        "Jutro pociągiem odjadę na północ,",
        "zostaw mi światło w otwartym oknie.",
        "Niech ta piosenka prowadzi nas dalej.",
    ),
    "sv": (
        "Snön faller sakta på gatan i kväll,",
        "jag letar i mörkret och hör dina steg.",
        "I morgon så seglar vi bort över havet,",
        "lämna en lampa i fönstret för mig.",
        "Sjung för mig tills vi har kommit hem.",
    ),
}
_VOICES = {
    "es": ("es", "es+f2"),
    "de": ("de", "de+f2"),
    "fr": ("fr", "fr+f2"),
    "it": ("it", "it+f2"),
    "pt": ("pt-br", "pt-br+f2"),
    "nl": ("nl", "nl+f2"),
    "pl": ("pl", "pl+f2"),
    "sv": ("sv", "sv+f2"),
}


def make(language: str, seed: int = 0) -> Song:
    """A song of five lines; a seed decides as in `songs.make`. Not kept: 3 s of work each time."""
    random = np.random.default_rng([seed, zlib.crc32(language.encode())])
    harmony = song_band.compose(random, (88, 112))
    texts = LYRICS[language]
    lines = tuple(songs._Line(text, 2 + 2 * at, "a") for at, text in enumerate(texts))
    score = songs._Score(language, lines, 2 + 2 * len(texts), (0, 1))
    backing = song_band.play(harmony, score.bars, score.lead_bars, random)
    voice = _VOICES[language][seed % 2]
    cast = {language: (Voice(voice, 160 if "+f" in voice else 110, 62 if "+f" in voice else 52),)}
    vocals, truth = _sung(cast, score, harmony, backing.shape[1], random)
    sung = np.abs(vocals).max(axis=0) > 0.02 * np.abs(vocals).max()
    vocals *= 0.8 * songs._rms(backing[:, sung]) / songs._rms(vocals[:, sung])
    peak = np.abs(vocals + backing).max()
    voices, band = ((0.89 / peak * sound).astype(np.float32) for sound in (vocals, backing))
    return Song(
        name=f"{language}-{seed}",
        language=language,
        path=songs.make("short").path.with_name("not-kept"),
        mix=Audio(voices + band, RATE),
        vocals=Audio(voices, RATE),
        backing=Audio(band, RATE),
        lines=truth,
        singers=["a"] * len(texts),
        lyrics_text="\n".join(texts) + "\n",
    )


def _sung(
    cast: Mapping[str, Sequence[Voice]],
    score: songs._Score,
    harmony: song_band.Harmony,
    frames: int,
    random: np.random.Generator,
) -> tuple[song_band.Signal, list[list[songs.WordTruth]]]:
    known = dict(songs._VOICES)
    songs._VOICES.update({language: tuple(voices) for language, voices in cast.items()})
    try:
        return songs._sing(score, harmony, frames, random)
    finally:
        songs._VOICES.clear()
        songs._VOICES.update(known)
