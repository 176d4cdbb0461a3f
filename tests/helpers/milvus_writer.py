"""A process that adds numbered batches to a store on Milvus and prints each that is acknowledged.

    python milvus_writer.py FOLDER FIRST

Batch n adds images 4n to 4n+3 and, with every third batch, changes columns of the batch before.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path

from helpers.small_rows import rows
from hemline.catalog.store import Row
from hemline.catalog.stores.milvus import MilvusStore

SIZE = 4


def batch(number: int) -> list[Row]:
    """The rows of one commit."""
    made = rows(SIZE * number, SIZE)
    if number and number % 3 == 0:
        made += [
            dataclasses.replace(row, columns={"price": -number})
            for row in rows(SIZE * (number - 1), SIZE)
        ]
    return made


def main() -> None:
    folder, first = Path(sys.argv[1]), int(sys.argv[2])
    store = MilvusStore(folder)
    for number in itertools.count(first):
        store.add(batch(number))
        print(number, flush=True)


if __name__ == "__main__":
    main()
