"""Preemptible overflow to cloud instances, under budget caps that cannot be broken.

    burst.toml ──policy_file──▶ Policy                               policy.py (values), money.py
    Policy + queue + quotes ──admission──▶ who may spill, for how much   admission.py, worst_case.py (pure)
    reserve → commit → settle → release                              ledger/ (SQLite, a transaction each)
    launch, list, terminate                                          provider/ (local, exec, ec2)
    provider's, Slurm's, the ledger's view ──reconcile──▶ actions    reconcile.py (pure)

What wires these to Slurm is in `hetslurm.burst`. Money is whole micro-units of the site's currency.
"""
