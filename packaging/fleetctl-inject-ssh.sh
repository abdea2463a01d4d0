#!/bin/sh
# Lets a key log in to every machine of the cluster:
#
#   cat key.pub | fleetctl-inject-ssh.sh NAME [flags of fleetctl]
#   cat key.pub | fleetctl-inject-ssh.sh anna --tunnel 10.10.10.10
#
# fleetctl logs in as core unless --ssh-username names another user.
#
# On each machine it uses update-ssh-keys, where there is one, and otherwise ~/.ssh/authorized_keys of the user that
# fleetctl logs in as. Doing it again changes nothing. Ends with 1 if a machine could not be given the key.
set -eu

if [ $# -eq 0 ] || [ -z "$1" ]; then
  echo "Provide a name for the injected SSH key" >&2
  exit 2
fi
name=$1
shift
case $name in
  *[!A-Za-z0-9._@-]* | -*)
    echo "The name of a key consists of letters, digits and . _ @ -, not: $name" >&2
    exit 2
    ;;
esac

# Only what is a public key goes on: type and base64, each checked, so that nothing needs quoting over there.
keys=
while read -r type key _ || [ -n "$type" ]; do
  case $type in '' | '#'*) continue ;; esac
  case $type$key in
    *[!A-Za-z0-9+/=@.-]*) key= ;;
  esac
  case $type in ssh-* | ecdsa-* | sk-*) ;; *) key= ;; esac
  if [ -z "$key" ]; then
    echo "This is no public key in OpenSSH's format: $type ..." >&2
    exit 2
  fi
  keys="$keys $type $key"
done
if [ -z "$keys" ]; then
  echo "There is no public key on standard input: cat key.pub | $0 $name" >&2
  exit 2
fi

# What runs on the machines, given NAME and then TYPE and KEY of each key.
remote='
set -eu
umask 077
name=$1
shift
if command -v update-ssh-keys >/dev/null; then
  while [ $# -gt 0 ]; do echo "$1 $2 $name"; shift 2; done | update-ssh-keys -a "$name" -n >/dev/null
  echo "update-ssh-keys has it"
  exit
fi
file=$HOME/.ssh/authorized_keys
mkdir -p "$HOME/.ssh"
added=0
while [ $# -gt 0 ]; do
  if ! grep -qsF -- "$1 $2" "$file"; then
    if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >>"$file"; fi
    echo "$1 $2 $name" >>"$file"
    added=1
  fi
  shift 2
done
if [ $added = 1 ]; then echo "added to $file"; else echo "already in $file"; fi
'

fleetctl=${FLEETCTL:-fleetctl}

# The user that fleetctl logs in as, unless ~/.ssh/config names another.
user=${FLEETCTL_SSH_USERNAME:-core}
previous=
for argument in "$@"; do
  case $previous in -ssh-username | --ssh-username) user=$argument ;; esac
  case $argument in *-ssh-username=*) user=${argument#*=} ;; esac
  previous=$argument
done

# fail: says what to do where fleetctl could not log in, which it has said itself.
fail() {
  echo "fleetctl logs in as $user. Where there is no such user, or it does not take your key, name another one:" >&2
  echo "  cat key.pub | $0 $name --ssh-username=root" >&2
  exit 1
}

# Standard input was the key; questions about hosts and passphrases are asked at the terminal.
machines=$("$fleetctl" "$@" list-machines --no-legend --full --fields=machine </dev/null) || fail

status=0
for machine in $machines; do
  printf '%s: ' "$machine"
  # shellcheck disable=SC2086
  "$fleetctl" "$@" ssh --machine "$machine" -- "sh -c '$remote' sh $name$keys" </dev/null || {
    echo "$machine: the key is not there" >&2
    status=1
  }
done
[ $status = 0 ] || fail
