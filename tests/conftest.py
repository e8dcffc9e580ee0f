"""What all tests share: prepared datasets go to a cache of the session's own."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
