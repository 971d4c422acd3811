"""What a reader sees and moves, one file a notebook: pure functions from settings to arrays, artists, and glue."""
