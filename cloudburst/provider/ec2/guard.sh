#!/bin/sh
# Ends this machine when its money does, whoever else lives: the dead man's switch of hetslurm's instances.
#
# The deadline (Unix seconds) is the instance's own tag, read again every few seconds, so that more money is
# more time. The newest one that was ever read holds while the metadata service is silent. Where none was
# ever read, the machine ends a quarter of an hour after it came up: nobody would pay for it.
set -u
imds=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
state=${HETSLURM_GUARD_STATE:-/run/hetslurm}
end=${HETSLURM_GUARD_END:-systemctl poweroff --force}
unknown_s=${HETSLURM_GUARD_UNKNOWN_S:-900}
every_s=${HETSLURM_GUARD_EVERY_S:-15}

read_tag() {
	token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/latest/api/token") || return 1
	printf 'X-aws-ec2-metadata-token: %s\n' "$token" |
		curl -sf -m 2 -H @- "$imds/latest/meta-data/tags/instance/hetslurm:deadline"
}

is_number() {
	case $1 in '' | *[!0-9]*) return 1 ;; esac
}

uptime_s() {
	cut -d. -f1 "${HETSLURM_GUARD_UPTIME:-/proc/uptime}"
}

end_now() {
	echo "hetslurm: $1: this machine ends" >&2
	sync
	$end || poweroff -f
}

mkdir -p "$state"
while :; do
	deadline=$(read_tag) || deadline=
	if is_number "$deadline"; then
		echo "$deadline" >"$state/deadline.new" && mv "$state/deadline.new" "$state/deadline"
	else
		deadline=$(cat "$state/deadline" 2>/dev/null) || deadline=
	fi
	wait_s=$every_s
	if is_number "$deadline"; then
		left_s=$((deadline - $(date +%s)))
		if [ "$left_s" -le 0 ]; then
			end_now "its money is used up ($deadline)"
		elif [ "$left_s" -lt "$wait_s" ]; then
			wait_s=$left_s
		fi
	elif [ "$(uptime_s)" -ge "$unknown_s" ]; then
		end_now "nobody says how long it is paid for"
	fi
	[ "${1:-}" != --once ] || exit 0
	sleep "$wait_s"
done
