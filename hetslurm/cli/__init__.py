"""The command line. Each command is a module with an `app`; `app.py` loads only the one that is called."""
