"""The catalogue: items, images and vectors in a folder; `hemline.catalog.catalog.Catalog`."""
