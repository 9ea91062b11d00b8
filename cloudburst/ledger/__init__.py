"""Money: reserve → commit → settle → release, append-only, in one SQLite file with what it pays for."""
