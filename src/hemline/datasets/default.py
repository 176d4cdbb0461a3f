"""The default protocol: street rows of ``test`` (else ``val``) searched among the shop rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemline.data.manifest import Manifest
from hemline.data.protocol import Choices, Protocol, ProtocolSpec, roles
from hemline.data.relevance import match_items


def default(manifest: Manifest, choices: Choices) -> tuple[Protocol, ...]:
    """Queries: query rows of ``test``, of ``val`` where there is no ``test``, of no split where
    there is neither. Gallery: every gallery row of those splits and of rows without one."""
    split = np.asarray(manifest.column("split"), dtype=np.str_)
    role = roles(manifest)
    is_query = role == "query"
    used = next(
        (name for name in ("test", "val", "") if (is_query & (split == name)).any()), "test"
    )
    queries = is_query & (split == used)
    words = f"query rows of {used}" if used else "query rows (none is of test or val)"
    searched = (role == "gallery") & ((split == used) | (split == ""))
    stated = {
        "queries": words,
        "gallery": f"gallery rows of {used} and of no split"
        if used
        else "gallery rows of no split",
        "items": "as the manifest splits them",
    }
    return (
        match_items(
            "default", manifest, np.flatnonzero(queries), np.flatnonzero(searched), choices, stated
        ),
    )


PROTOCOLS: Mapping[str, ProtocolSpec] = {
    "default": ProtocolSpec(
        default,
        queries="street rows (or role query) of test; of val where there is no test",
        gallery="shop rows (or role gallery) of that split and of no split",
        products="as the manifest splits them",
    )
}
