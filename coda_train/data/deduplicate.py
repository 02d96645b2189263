"""Exact and near duplicates: a digest that ignores white space, and MinHash with locality-sensitive hashing."""

import hashlib
import re

import numpy as np

SHINGLE_TOKENS = 5
BANDS, ROWS = 32, 4
PERMUTATIONS = BANDS * ROWS
_AT_ONCE = 1_024  # shingles: their product with all permutations stays in the cache

_TOKEN = re.compile(r"\w+|[^\w\s]")
_RANDOM = np.random.default_rng(0x5EED)
_MULTIPLIERS_P = _RANDOM.integers(1, 2**32, PERMUTATIONS, dtype=np.uint32) | np.uint32(1)
_OFFSETS_P = _RANDOM.integers(0, 2**32, PERMUTATIONS, dtype=np.uint32)
_POSITION_K = _RANDOM.integers(1, 2**63, SHINGLE_TOKENS, dtype=np.uint64) | np.uint64(1)


def exact_digest(text: str) -> bytes:
    """sha256 of the text with every run of white space made one space."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", errors="surrogatepass")).digest()


class Signer:
    """Turns texts into MinHash signatures; remembers the hash of each token it has met."""

    def __init__(self) -> None:
        self._hashes: dict[str, int] = {}
        # Kept, for new memory each time costs as much as the sums.
        self._product_PxS = np.empty((PERMUTATIONS, _AT_ONCE), np.uint32)

    def signature(self, text: str) -> np.ndarray:
        """MinHash of the text's set of 5-token shingles: [128] uint32; equal entries estimate the Jaccard similarity
        (Broder 1997)."""
        tokens = _TOKEN.findall(text)
        tokens += [""] * (SHINGLE_TOKENS - len(tokens))
        hashes_T = np.array([self._hash(token) for token in tokens], np.uint64)
        count = len(tokens) - SHINGLE_TOKENS + 1
        shingles = np.zeros(count, np.uint64)
        for position, multiplier in enumerate(_POSITION_K):
            shingles += hashes_T[position : position + count] * multiplier
        mixed_S = (shingles >> np.uint64(32)).astype(np.uint32)
        minima_P = np.full(PERMUTATIONS, np.iinfo(np.uint32).max, np.uint32)
        for start in range(0, count, _AT_ONCE):
            part_S = mixed_S[start : start + _AT_ONCE]
            product_PxS = np.multiply(_MULTIPLIERS_P[:, None], part_S, out=self._product_PxS[:, : len(part_S)])
            product_PxS += _OFFSETS_P[:, None]
            np.minimum(minima_P, product_PxS.min(axis=1), out=minima_P)
        return minima_P

    def _hash(self, token: str) -> int:
        known = self._hashes.get(token)
        if known is None:
            digest = hashlib.blake2b(token.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()
            known = self._hashes[token] = int.from_bytes(digest, "little")
        return known


class NearDuplicates:
    """An index of the documents kept so far; `add` refuses one that resembles any of them."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._signatures: list[np.ndarray] = []
        self._buckets: list[dict[bytes, list[int]]] = [{} for _ in range(BANDS)]

    def add(self, signature: np.ndarray) -> bool:
        """Keep the document with this signature ([128] uint32) and return True, unless its estimated Jaccard
        similarity to a kept one exceeds the threshold."""
        keys = [band.tobytes() for band in signature.reshape(BANDS, ROWS)]
        candidates = {index for bucket, key in zip(self._buckets, keys, strict=True) for index in bucket.get(key, ())}
        if candidates:
            others_NxP = np.stack([self._signatures[index] for index in candidates])
            if (others_NxP == signature).mean(axis=1).max() > self._threshold:
                return False
        for bucket, key in zip(self._buckets, keys, strict=True):
            bucket.setdefault(key, []).append(len(self._signatures))
        self._signatures.append(signature)
        return True
