"""Randomness as a pure function of a key: what was drawn before never matters.

Only the raw words of the bit generator are used. NumPy promises never to change those, while it
does not promise that for `permutation` or `integers`.
"""

import hashlib
import json

import numpy as np
import numpy.typing as npt


def words(count: int, *key: int | str) -> npt.NDArray[np.uint64]:
    """`count` random 64-bit words that depend on the key alone."""
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return np.random.PCG64(int.from_bytes(digest, "big")).random_raw(count)


def permutation(count: int, *key: int | str) -> npt.NDArray[np.int64]:
    """The numbers 0 .. count-1 in an order that depends on the key alone."""
    return np.argsort(words(count, *key), kind="stable").astype(np.int64, copy=False)
