"""The search engine: from a `SearchRequest` to a `SearchResult`, without PyTorch."""
