"""A catalogue's care: checked and mended, copied, made anew for another bundle, exported."""
