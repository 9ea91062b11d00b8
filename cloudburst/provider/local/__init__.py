"""The embedded default: an instance is a real slurmd, started on this machine, that costs pretended money.

provider.py ── starts ──▶ instance.py ── boots, watches, ends ──▶ slurmd and all that comes of it
    └── one folder an instance (folder.py): order, begin, deadline, notice, end; one writer a file
faults.py      what a cloud does to its customers, as a file that may change at any time
family.py      every process of an instance, whoever its parent is by now
"""
