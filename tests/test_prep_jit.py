"""Compiled code is kept on disk where that is possible, and fresh sources never meet old code."""

from native_prep import jit


def one_more(value):
    return value + 1


def test_kept_on_disk_by_sources_and_switches(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for switch in ("0", "1"):
        monkeypatch.setenv("NUMBA_BOUNDSCHECK", switch)
        jit._digest.cache_clear()
        assert jit.entry(one_more)(1) == 2
    again = jit.entry(one_more)
    assert again(1) == 2
    assert sum(again.stats.cache_hits.values()) == 1
    jit._digest.cache_clear()
    assert len(list(tmp_path.rglob("*.nbi"))) == len(list(tmp_path.rglob("*.nbc"))) == 2


def test_read_only_package(tmp_path, monkeypatch):
    """The code goes to the user's cache folder, by Numba's own rule, or nowhere."""
    from numba.core import caching

    def refuse(*_):
        raise OSError("read-only")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(caching.InTreeCacheLocator, "ensure_cache_path", refuse)
    compiled = jit.entry(one_more)
    assert compiled(1) == 2
    assert compiled._cache.cache_path.startswith(str(tmp_path))
    monkeypatch.setattr(caching.UserWideCacheLocator, "ensure_cache_path", refuse)
    assert jit.entry(one_more)(1) == 2
