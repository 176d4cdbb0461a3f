"""How fast this machine answers: each step of a query, beside the same path from public parts."""
