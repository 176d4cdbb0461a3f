"""A process that adds rows to a store on Milvus, waiting while another one writes.

    python milvus_shared_writer.py FOLDER FIRST COUNT

Prints ``ready``, and each commit that is acknowledged: the number of its row. Each takes the right
to write anew, but for COUNT 0: that takes it, prints ``holds`` and keeps it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from helpers.small_rows import rows
from hemline.catalog.stores.milvus import MilvusStore
from hemline.errors import CatalogBusy


def main() -> None:
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    store = MilvusStore(folder)
    print("ready", flush=True)
    if not count:
        with store.writing():
            print("holds", flush=True)
            time.sleep(600)
    for number in range(first, first + count):
        while True:
            try:
                store.add(rows(number, 1))
                break
            except CatalogBusy:
                time.sleep(0.02)
        print(number, flush=True)
    store.close()


if __name__ == "__main__":
    main()
