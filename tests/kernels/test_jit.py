"""Compiled code is kept on disk where that is possible, and fresh sources never meet old code."""

from numba.core import caching

from native_prep.kernels import jit


def one_more(value):
    return value + 1


def test_kept_by_sources(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    for digest, hits in (("old", 0), ("new", 0), ("old", 1)):
        monkeypatch.setattr(jit, "digest", lambda digest=digest: digest)
        compiled = jit.njit_cached(one_more)
        assert compiled(1) == 2
        assert sum(compiled.stats.cache_hits.values()) == hits
    assert len(list(tmp_path.rglob("*.nbi"))) == len(list(tmp_path.rglob("*.nbc"))) == 2


def test_bounds_checks_are_code_of_their_own(monkeypatch):
    digests = set()
    for switch in ("0", "1"):
        monkeypatch.setenv("NUMBA_BOUNDSCHECK", switch)
        digests.add(jit.digest.__wrapped__())
    assert len(digests) == 2


def test_read_only_package(tmp_path, monkeypatch):
    """The code goes to the user's cache folder, by Numba's own rule, or nowhere."""

    def refuse(*_):
        raise OSError("read-only")

    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(caching.InTreeCacheLocator, "ensure_cache_path", refuse)
    compiled = jit.njit_cached(one_more)
    assert compiled(1) == 2
    assert compiled._cache.cache_path.startswith(str(tmp_path))
    monkeypatch.setattr(caching.UserWideCacheLocator, "ensure_cache_path", refuse)
    assert jit.njit_cached(one_more)(1) == 2
