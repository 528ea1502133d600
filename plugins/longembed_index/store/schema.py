"""What tables a SQLite file has."""

from __future__ import annotations

import sqlite3


def read_schema(connection: sqlite3.Connection) -> list[str]:
    """Return the statements that have made what is in a file, sorted; not what SQLite keeps."""
    # A view or trigger of such a name is not SQLite's.
    query = (
        "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@' "
        "OR type NOT IN ('table', 'index')"
    )
    return sorted(str(sql) for (sql,) in connection.execute(query))
