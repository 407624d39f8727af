"""Programs that other systems start: thin, over the same commands that a person has."""
