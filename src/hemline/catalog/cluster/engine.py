"""Where images are embedded: the choices of ``--engine``."""

from __future__ import annotations

from hemline.errors import UsageError

#: In this process; on a Ray cluster.
HERE, RAY = "here", "ray"
#: Folder of finished shards that aren't in the catalogue yet.
SHARDS = "embedded"


def check_engine(engine: str) -> None:
    """
    Raises:
        UsageError: it isn't ``here``, ``ray`` or ``ray://HOST:PORT``.
    """
    if engine not in (HERE, RAY) and not engine.startswith("ray://"):
        raise UsageError(f"the engine is {HERE!r}, {RAY!r} or 'ray://HOST:PORT', not {engine!r}")
