#!/bin/bash
# Makes this machine a node of its cluster: name, key, slurmd, agent. What fails ends the machine at once, so
# that the money goes to another try; the console keeps what was said.
set -euo pipefail
umask 077
root=${HETSLURM_ROOT:-}
imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
# shellcheck disable=SC1091
. "$root/etc/hetslurm/instance.env"

step=begin
ended() {
	local status=$?
	[ "$status" = 0 ] && return
	echo "hetslurm: could not join the cluster ($step): this machine ends" >&2
	${HETSLURM_GUARD_END:-systemctl poweroff}
}
trap ended EXIT

node_name() {
	local token
	for _ in $(seq 60); do
		if token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/latest/api/token") &&
			curl -sf -m 2 -H @- "$imds/latest/meta-data/tags/instance/hetslurm:node" \
				<<<"X-aws-ec2-metadata-token: $token"; then
			return 0
		fi
		sleep 1
	done
	return 1
}

# fetch SOURCE FILE OWNER: a secret goes from its keeper to its file, and nowhere else.
fetch() {
	local source=${1//\{node\}/$node} file=$root$2 new
	mkdir -p "$(dirname "$file")"
	new=$(mktemp "$file.XXXXXX")
	case $source in
	ssm:*)
		aws ssm get-parameter --region "$REGION" --with-decryption --name "${source#ssm:}" \
			--query Parameter.Value --output text | base64 -d >"$new"
		;;
	secretsmanager:*)
		aws secretsmanager get-secret-value --region "$REGION" --secret-id "${source#secretsmanager:}" \
			--query SecretBinary --output text | base64 -d >"$new"
		;;
	command:*) bash -c "${source#command:}" >"$new" ;;
	*) return 1 ;;
	esac
	test -s "$new"
	chmod 0400 "$new"
	chown "$3" "$new"
	mv "$new" "$file"
}

# Whoever asks the metadata service has this machine's role, and with it the cluster's key: only root may.
only_root_asks() {
	if command -v iptables >/dev/null; then
		iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j REJECT
	else
		nft add table inet hetslurm
		nft add chain inet hetslurm output '{ type filter hook output priority 0; }'
		nft add rule inet hetslurm output ip daddr 169.254.169.254 meta skuid != 0 reject
	fi
}

step="closing the metadata service to jobs"
only_root_asks

step="reading its name"
node=$(node_name)
[[ $node =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]]
step="taking its name"
hostnamectl set-hostname "$node"

step="fetching Slurm's key"
if [ "$AUTH" = slurm ]; then
	fetch "$SLURM_KEY" /etc/slurm/slurm.key slurm:slurm
else
	fetch "$SLURM_KEY" /etc/munge/munge.key munge:munge
	step="starting munge"
	systemctl restart munge
fi

step="starting slurmd"
systemctl stop slurmd 2>/dev/null || true # an image may start it by itself, as nobody
mkdir -p "$root/run/hetslurm"
printf 'NODE=%s\nCONF_SERVER=%s\n' "$node" "$CONF_SERVER" >"$root/run/hetslurm/node.env"
systemctl start hetslurm-slurmd
step="starting hetslurm"
if [ -n "$BUS_KEY" ]; then
	fetch "$BUS_KEY" /etc/hetslurm/keys/node.key root:root
	systemctl start hetslurm-agent
else
	systemctl start hetslurm-watch
fi
