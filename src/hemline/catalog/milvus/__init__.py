"""A catalogue's rows and vectors on a Milvus server: address, client, log, mirror and search."""
