"""pocketsphinx's US English acoustic model, read from its wheel: a score per frame and sound.

A phonetically tied mixture model (PTM): 42 phones, each with a codebook of 128 Gaussians for each
of three feature streams, and 5,126 senones (tied triphone states) that weight the codebook of
their phone. pocketsphinx's own aligner has no way to leave words out, to allow noise between
lines, or to bound its memory on a long song; it reads the same files. Formats: sphinxbase
``bin_mdef.c``, ``ms_gauden.c``, ``ptm_mgau.c``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pocketsphinx

from processors.alignment.cepstra import Floats

Ints = npt.NDArray[np.int64]

SILENCE = "SIL"
_STATES = 3  # emitting states a phone
_STREAMS = 3
_VARIANCE_FLOOR = 1e-4  # sphinx's varfloor
_WEIGHT_STEP = np.log(1.0001) * 1024  # sendump: 8 bits of −log_1.0001(weight) >> 10
_CHUNK = 2048  # frames scored at once: 2048 x 128 x 3 float32 = 3 MB a phone


@dataclass(frozen=True, slots=True)
class AcousticModel:
    """Means and variances ``(42, 3, 128, 13)``, weights ``(3, 128, senones)``, triphone tables."""

    phones: tuple[str, ...]
    means: Floats
    precisions: Floats
    constants: Floats  # (42, 3, 128): log normaliser of each Gaussian
    weights: npt.NDArray[np.uint8]
    senones: npt.NDArray[np.uint16]  # (sequences, 3): senones of each state sequence
    triphones: dict[int, int]  # packed (position, phone, left, right) -> state sequence
    singles: Ints  # (42,): state sequence of each phone without context

    def phone(self, name: str) -> int:
        """Index of a phone. Raises ``ValueError`` for a name that the model lacks."""
        return self.phones.index(name)

    def states(self, left: int, phone: int, right: int, position: str) -> Ints:
        """The three senones of a phone between two others.

        ``position`` in its word: ``b`` begin, ``e`` end, ``i`` inside, ``s`` single. An unseen
        triphone takes another position's, then the phone without context.
        """
        for place in (position, "i", "b", "e", "s"):
            found = self.triphones.get(_packed("ibes".index(place), phone, left, right))
            if found is not None:
                break
        else:
            found = int(self.singles[phone])
        three: Ints = self.senones[found].astype(np.int64)
        return three

    def scores(self, features: Floats, senones: Ints, owners: Ints) -> Floats:
        """Log likelihood ``(frames, len(senones)) float32`` of each frame in each senone.

        ``features`` is ``(frames, 39)``; ``owners`` is the phone of each senone.
        """
        out = np.zeros((len(features), len(senones)), np.float32)
        for owner in np.unique(owners):
            columns = np.flatnonzero(owners == owner)
            for at in range(0, len(features), _CHUNK):
                part = features[at : at + _CHUNK]
                total = np.zeros((len(part), len(columns)), np.float32)
                for stream in range(_STREAMS):
                    total += self._stream(
                        part[:, stream * 13 : stream * 13 + 13],
                        int(owner),
                        stream,
                        senones[columns],
                    )
                out[at : at + _CHUNK, columns] = total
        return out

    def _stream(self, part: Floats, owner: int, stream: int, senones: Ints) -> Floats:
        means, precisions = self.means[owner, stream], self.precisions[owner, stream]
        density = (
            self.constants[owner, stream]
            + part @ (means * precisions).T
            - np.float32(0.5) * (part * part) @ precisions.T
        )
        best = density.max(axis=1, keepdims=True)
        weights = np.exp(-_WEIGHT_STEP * self.weights[stream][:, senones].astype(np.float32))
        mixed = np.exp(density - best) @ weights.astype(np.float32)
        scores: Floats = np.log(np.maximum(mixed, np.float32(1e-30))) + best
        return scores


def _packed(position: int, phone: int, left: int, right: int) -> int:
    return ((position * 64 + phone) * 64 + left) * 64 + right


@cache
def english() -> AcousticModel:
    """The model in pocketsphinx's wheel; read once a process (0.3 s, 20 MB)."""
    folder = Path(pocketsphinx.get_model_path("en-us/en-us"))
    phones, singles, triphones, senones = _definition((folder / "mdef").read_bytes())
    means = _gaussians((folder / "means").read_bytes())
    variances = np.maximum(_gaussians((folder / "variances").read_bytes()), _VARIANCE_FLOOR)
    constants = -0.5 * (
        np.log(2 * np.pi * variances).sum(axis=-1) + (means * means / variances).sum(axis=-1)
    )
    return AcousticModel(
        phones=phones,
        means=means,
        precisions=(1.0 / variances).astype(np.float32),
        constants=constants.astype(np.float32),
        weights=_weights((folder / "sendump").read_bytes()),
        senones=senones,
        triphones=triphones,
        singles=singles,
    )


def _gaussians(raw: bytes) -> Floats:
    at = raw.index(b"endhdr\n") + len(b"endhdr\n") + 4  # and the byte-order mark
    phones, streams, densities = struct.unpack_from("<3i", raw, at)
    lengths = struct.unpack_from(f"<{streams}i", raw, at + 12)
    at += 12 + 4 * streams + 4
    values = np.frombuffer(raw, "<f4", phones * densities * sum(lengths), at)
    return values.reshape(phones, streams, densities, lengths[0]).astype(np.float32)


def _weights(raw: bytes) -> npt.NDArray[np.uint8]:
    at = 0
    while True:
        (size,) = struct.unpack_from("<i", raw, at)
        at += 4
        if size == 0:
            break
        at += size
    densities, senones = struct.unpack_from("<2i", raw, at)
    weights = np.frombuffer(raw, np.uint8, _STREAMS * densities * senones, at + 8)
    return weights.reshape(_STREAMS, densities, senones)


def _definition(
    raw: bytes,
) -> tuple[tuple[str, ...], Ints, dict[int, int], npt.NDArray[np.uint16]]:
    if raw[:4] != b"BMDF":
        raise ValueError("alignment: the pocketsphinx wheel holds another kind of model definition")
    _version, described = struct.unpack_from("<2i", raw, 4)
    at = 12 + described
    counts = struct.unpack_from("<10i", raw, at)
    single_count, phone_count, sequence_count, tree_count = (counts[i] for i in (0, 1, 6, 8))
    at += 40
    names: list[str] = []
    for _ in range(single_count):
        end = raw.index(b"\0", at)
        names.append(raw[at:end].decode())
        at = end + 1
    at = -(-at // 4) * 4 + 8 * tree_count
    entry = np.dtype([("sequence", "<i4"), ("tmat", "<i4"), ("context", "u1", 4)])
    entries = np.frombuffer(raw, entry, phone_count, at)
    at += entry.itemsize * phone_count + 4
    senones = np.frombuffer(raw, "<u2", sequence_count * _STATES, at).reshape(-1, _STATES)
    # context: word position, phone, left, right (``wpos``, ``ctx[3]``)
    position, phone, left, right = entries["context"][single_count:].astype(np.int64).T
    packed = ((position * 64 + phone) * 64 + left) * 64 + right
    sequences = entries["sequence"]
    triphones = dict(
        zip(packed.tolist(), sequences[single_count:].astype(int).tolist(), strict=True)
    )
    return tuple(names), sequences[:single_count].astype(np.int64), triphones, senones
