"""The event log: Dagster's own SQLite files and statements, over connections that stay open.

Dagster makes an SQLAlchemy engine anew for everything that it reads or writes, up to six of them for one event, and
each opens the file, reads its schema and compiles its statement again. That was 8 of the 10 ms that an event took, and
a date has almost two hundred. What is written, and when it is committed, stays as Dagster has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dagster import StringSource
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

KEPT: Final = 4
"""Databases that are kept open: the index of all runs, and the runs used last, each of which has one of its own."""


class EventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with one engine per database."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        """By database, the one used last at the end."""
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        """The folder of the instance, as dagster.yaml gives it: by its variable, so that the folder can be moved."""
        return {"dagster_home": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> EventLog:
        """The event log where Dagster has it by default."""
        return cls(str(Path(config_value["dagster_home"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # As Dagster does it, but for the engine.
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine and shard not in self._initialized_dbs:  # its file was wiped
            engine.dispose()
            engine = None
        self._engines[shard] = engine = engine or create_engine(
            self.conn_string_for_shard(shard),
            poolclass=QueuePool,
            pool_size=1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        while len(self._engines) > KEPT:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

    def has_table(self, table_name: str) -> bool:
        """Whether there is such a table. Dagster asks with every event; a table that there is stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close all databases."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()
