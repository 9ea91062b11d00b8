"""Finished runs, kept in SQLite by the controller."""
