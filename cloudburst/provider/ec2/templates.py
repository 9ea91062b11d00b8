"""Makes the launch template, and its next version where the settings have changed."""

from __future__ import annotations

import threading
from typing import Any

from hetslurm.cloudburst.provider.ec2.cloud_init import user_data
from hetslurm.cloudburst.provider.ec2.errors import error_of
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.ec2.tags import CLUSTER, as_aws
from hetslurm.cloudburst.provider.ec2.template import description_of, template_data, template_name
from hetslurm.cloudburst.provider.protocol import ProviderError


class Templates:
    """Asks AWS once, and again after `forget`. Versions are only ever added."""

    def __init__(self, settings: Ec2Settings, ec2: Any) -> None:
        self._settings = settings
        self._ec2 = ec2
        self._lock = threading.Lock()
        self._spec: dict[str, str] | None = None

    def spec(self) -> dict[str, str]:
        """A LaunchTemplateSpecification with a version that is fixed. ProviderError: AWS says no."""
        with self._lock:
            if self._spec is None:
                try:
                    self._spec = self._own() if self._settings.launch_template else self._ensured()
                except ProviderError:
                    raise
                except Exception as error:
                    raise error_of(error, "the launch template") from error
            return self._spec

    def forget(self) -> None:
        """Somebody may have deleted it."""
        with self._lock:
            self._spec = None

    def _own(self) -> dict[str, str]:
        template = self._settings.launch_template
        key = "LaunchTemplateId" if template.startswith("lt-") else "LaunchTemplateName"
        return {key: template, "Version": self._settings.launch_template_version}

    def _ensured(self) -> dict[str, str]:
        name = template_name(self._settings)
        data = template_data(self._settings, user_data(self._settings))
        mark = description_of(data)
        newest = self._newest(name)
        if newest is None:
            return self._made(name, mark, data)
        if newest.get("VersionDescription") == mark:
            return _spec(newest)
        answer = self._ec2.create_launch_template_version(
            LaunchTemplateName=name, VersionDescription=mark, LaunchTemplateData=data
        )
        return _spec(answer["LaunchTemplateVersion"])

    def _made(self, name: str, mark: str, data: dict[str, Any]) -> dict[str, str]:
        tags = [{"ResourceType": "launch-template", "Tags": as_aws({CLUSTER: self._settings.cluster})}]
        try:
            made = self._ec2.create_launch_template(
                LaunchTemplateName=name,
                VersionDescription=mark,
                LaunchTemplateData=data,
                TagSpecifications=tags,
            )
        except Exception as raised:
            error = error_of(raised, f"launch template {name}")
            if error.code != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise error from raised
            # Another process of ours was quicker.
            newest = self._newest(name)
            if newest is None or newest.get("VersionDescription") != mark:
                raise error from raised
            return _spec(newest)
        return {
            "LaunchTemplateId": str(made["LaunchTemplate"]["LaunchTemplateId"]),
            "Version": str(made["LaunchTemplate"]["LatestVersionNumber"]),
        }

    def _newest(self, name: str) -> dict[str, Any] | None:
        try:
            answer = self._ec2.describe_launch_template_versions(
                LaunchTemplateName=name, Versions=["$Latest"]
            )
        except Exception as raised:
            error = error_of(raised, f"launch template {name}")
            if error.code.startswith("InvalidLaunchTemplateName.NotFound"):
                return None
            raise error from raised
        versions = answer.get("LaunchTemplateVersions") or ()
        return dict(versions[0]) if versions else None


def _spec(version: dict[str, Any]) -> dict[str, str]:
    return {"LaunchTemplateId": str(version["LaunchTemplateId"]), "Version": str(version["VersionNumber"])}
