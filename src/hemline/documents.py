"""Small JSON files with a checksum of their content, such as ``bundle.json`` and the key file.

The checksum is a member of the object itself, so the file stays plain JSON. It covers the values,
not the layout: a file that was only indented anew is intact. A file without one, as earlier
versions wrote, is read as it is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hemline.errors import DamageError
from hemline.files import read_regular, write_durable

CHECKSUM = "checksum"


def write_document(path: Path, content: Mapping[str, Any], *, mode: int | None = None) -> None:
    """Writes a JSON object with its checksum, durably.

    Args:
        path: the file to create or replace.
        content: JSON values; a member ``checksum`` is replaced.
        mode: permissions, as in `hemline.files.write_durable`.

    Raises:
        OSError: it can't be written; the previous file is unchanged.
    """
    # The sum is that of the values as they will be read: a tuple becomes a list, a key text.
    body = json.loads(json.dumps(dict(content)))
    body[CHECKSUM] = checksum(body)
    write_durable(path, json.dumps(body, indent=2, ensure_ascii=False) + "\n", mode=mode)


def read_document(path: Path) -> dict[str, Any]:
    """Reads what `write_document` wrote, without its checksum, or another JSON object.

    Raises:
        FileNotFoundError: no such file.
        DamageError: it can't be read, isn't a JSON object, or its checksum is wrong.
    """
    try:
        body = json.loads(read_regular(path).decode("utf-8"))
        found = checksum(body) if isinstance(body, dict) else None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamageError(f"{path} can't be read: {error.strerror or error}") from None
    except RecursionError:
        raise DamageError(f"{path} can't be read: its values are nested too deeply") from None
    except ValueError as error:
        raise DamageError(f"{path} can't be read: {error}") from None
    if not isinstance(body, dict):
        raise DamageError(f"{path} can't be read: it isn't a JSON object")
    stored = body.pop(CHECKSUM, None)
    if stored is not None and stored != found:
        raise DamageError(f"{path} is damaged: its content isn't that of its checksum")
    return body


def checksum(content: Mapping[str, Any]) -> str:
    """CRC-32 of a JSON object without its member ``checksum``, as eight hex digits."""
    values = {name: value for name, value in content.items() if name != CHECKSUM}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x}"
