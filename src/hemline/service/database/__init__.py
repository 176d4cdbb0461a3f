"""What service processes on several machines share: keys, journal and photos, in a database."""
