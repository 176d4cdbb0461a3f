"""A PostgreSQL server for tests, started where it is installed, by an unprivileged user."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers import needs
from helpers.behind_nginx import free_port
from helpers.ending import at_end

_PLACES = "/usr/lib/postgresql"  # Debian has each version's programs in BIN of its own


def needed() -> None:
    """Skips the running test where SQLAlchemy or PostgreSQL's driver is missing."""
    if find_spec("sqlalchemy") is None or find_spec("psycopg") is None:
        needs.skip("database")


def _programs() -> Path | None:
    places = [*sorted(Path(_PLACES).glob("*/bin"), reverse=True)]
    found = shutil.which("initdb")
    if found:
        places.append(Path(found).parent)
    return next((p for p in places if (p / "initdb").is_file()), None)


def _user() -> str | None:
    """Who runs the server, which refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return None


class Server:
    """A server on a free port of this machine, whose data are in memory's file system or /tmp."""

    def __init__(self, programs: Path) -> None:
        self._programs, self._user, self.port = programs, _user(), free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="hemline-postgres-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        at_end(self.end)
        self._run("initdb", "--auth=trust", "--username=hemline", "--no-sync", "--encoding=UTF8",
                  "--locale=C", "-D", str(self.folder / "data"))  # fmt: skip
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        self._ctl("start", "-l", str(self.folder / "log"), "-o", options, "-t", "120")

    def stop(self) -> None:
        """Cuts all connections, as a failure does."""
        self._ctl("stop", "-m", "immediate")

    def new(self) -> str:
        """The address of a new database."""
        name = f"test_{uuid.uuid4().hex[:8]}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hemline", name)
        return f"postgresql://hemline@127.0.0.1:{self.port}/{name}"

    def end(self) -> None:
        """Stops it for good and deletes its data."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ctl(self, verb: str, *options: str) -> None:
        self._run("pg_ctl", verb, "-D", str(self.folder / "data"), "-w", *options)

    def _run(self, program: str, *arguments: str) -> None:
        # Its output is in a file: a server that goes on would keep a pipe open.
        with (Path(tempfile.gettempdir()) / f"{self.folder.name}.out").open("w+b") as said:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                check=False,
                cwd=self.folder,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode("utf-8", "replace")
            os.unlink(said.name)


@functools.cache
def server() -> Server:
    """The server of this test process; skips the running test where none is installed."""
    needed()
    programs = _programs()
    if programs is None or (os.geteuid() == 0 and _user() is None):
        needs.skip("postgres")
    return Server(programs)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database of each kind."""
    needed()
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.sqlite'}"
    return server().new()
