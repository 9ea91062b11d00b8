"""Amazon EC2: launch templates, instant fleets, prices, and what an instance does when it boots.

    settings.py          [provider.NAME] as values
    errors.py            what AWS says → Trouble (a table)
    fleet.py, listing.py, prices.py, template.py, tags.py    requests and answers (pure)
    cloud_init.py, *.sh  what an instance does: guard its deadline, join the cluster (no secret in it)
    iam.py               the least that the controller, and an instance, must be allowed (pure)
    provider.py, session.py, quotes.py    the edge that calls boto3

boto3 is loaded when a provider is opened, and by nothing else here.
"""

from hetslurm.cloudburst.provider.ec2.provider import Ec2Provider, open_provider

__all__ = ["Ec2Provider", "open_provider"]
