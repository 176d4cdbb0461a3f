"""The service: one catalogue behind HTTP, with the search page (docs/service.md)."""
