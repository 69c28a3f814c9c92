"""A private PostgreSQL for the seed, a tiny Asterisk for the phone; the SIP test kit is imported as `kit`."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import tiny_asterisk

from cti import config as configuration
from cti.config import Config
from cti.embedded import places, postgres, supervisor
from tests.embedded.conftest import left_nothing
from tests.kit_ports import RTP, free_port

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[places.Places]:
    """A running PostgreSQL of its own, kept by a loop of its own."""
    found = places.prepare(tmp_path_factory.mktemp("home"))
    postgres.prepare(found)
    with asyncio.Runner() as runner:
        running = supervisor.running([postgres.part(found)], found.home / "pids", lambda _: None)
        runner.run(running.__aenter__())
        try:
            yield found
        finally:
            runner.run(running.__aexit__(None, None, None))
            left_nothing(found.home)


_numbers = itertools.count()


@pytest.fixture
async def config(cluster: places.Places, tmp_path: Path) -> AsyncIterator[Config]:
    """The config of an empty home with a database that has its tables."""
    from cti.adapters import postgres_migrations
    from cti.demo import seed

    name = f"demo{next(_numbers)}"
    base = configuration.private_dsn(cluster.home)
    link = await seed.connect(base)
    await link.execute(f"CREATE DATABASE {name}")
    await link.close()
    plain = configuration.load(None, {"CTI_HOME": str(tmp_path)})
    dsn = base.replace("/cti?", f"/{name}?")
    await postgres_migrations.migrate(dsn)
    yield msgspec.structs.replace(plain, postgres=configuration.Postgres(dsn=dsn))


@pytest.fixture(scope="session")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiny_asterisk.Tiny]:
    port = free_port()
    with tiny_asterisk.running(tmp_path_factory.mktemp("ast"), port, RTP[0]) as tiny:
        yield tiny
