"""Images at addresses (https, s3, gs): what may be fetched, how, and where it is kept."""
