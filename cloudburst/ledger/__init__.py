"""Money: reserve → commit → settle → release, append-only, in one SQLite file with the instances that it pays for."""
