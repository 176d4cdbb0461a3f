"""Databases that several machines share, by SQLAlchemy: opened by their address, told without its
password."""

from __future__ import annotations

from typing import Any

from hemline.errors import UsageError

#: Their place in the environment, as an address may have a password.
DATABASE = "HEMLINE_DATABASE"
_CONNECT, _STATEMENT = 5, 10_000  # seconds; milliseconds
#: PostgreSQL notices within half a minute that a machine with a session is gone.
_ALIVE = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}


class Shared:
    """An address that SQLAlchemy opens; nothing is connected yet.

    Attributes:
        api: the package ``sqlalchemy``.
        engine: of the address.
        shown: the address without its password.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """
        Args:
            url: ``postgresql://USER@HOST/NAME``, or what else SQLAlchemy takes.
            options: of ``sqlalchemy.create_engine``.

        Raises:
            UsageError: SQLAlchemy or a driver isn't installed, or the address isn't one.
        """
        try:
            import sqlalchemy
        except ImportError:
            raise UsageError(
                "a database needs SQLAlchemy: pip install 'hemline[database]'"
            ) from None
        self.api: Any = sqlalchemy
        try:
            address = sqlalchemy.make_url(url)
            self.shown: str = address.render_as_string(hide_password=True)
            if address.drivername in ("postgresql", "postgres"):
                address = address.set(drivername="postgresql+psycopg")
            options = _options(address.drivername) | options
            self.engine: Any = sqlalchemy.create_engine(address, **options)
        except sqlalchemy.exc.ArgumentError as error:
            raise UsageError(
                f"a database is like postgresql://USER@HOST/NAME: {line(error)}"
            ) from None
        except ImportError as error:
            raise UsageError(
                f"the driver of {self.shown} isn't installed ({error}); pip install "
                "'hemline[database]' brings PostgreSQL's"
            ) from None

    @property
    def is_postgresql(self) -> bool:
        """Whether it has PostgreSQL's locks."""
        return bool(self.engine.dialect.name == "postgresql")


def line(error: Exception) -> str:
    """The driver's own words in one line, without SQLAlchemy's statement and parameters."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split())[:200] or type(said).__name__


def _options(driver: str) -> dict[str, Any]:
    if driver != "postgresql+psycopg":
        return {}
    settings = {"statement_timeout": _STATEMENT, **_ALIVE}
    text = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return {"connect_args": {"connect_timeout": _CONNECT, "options": text}}
