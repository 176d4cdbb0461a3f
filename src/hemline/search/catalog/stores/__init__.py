"""The stores, one file each; what has a leading underscore is a part of the SQLite store."""
