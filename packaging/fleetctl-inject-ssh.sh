#!/bin/sh
# Adds a public SSH key on every machine of the cluster:
#
#   cat key.pub | fleetctl-inject-ssh.sh NAME [flags of fleetctl]
#   cat key.pub | fleetctl-inject-ssh.sh anna --tunnel 10.10.10.10
#
# fleetctl logs in as core unless --ssh-username names another user.
#
# On each machine the key is added by update-ssh-keys if that is installed, else to ~/.ssh/authorized_keys of the user that
# fleetctl logs in as. A second run changes nothing. Exit status 1: at least one machine did not get the key.
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

# Accept only public keys, type and base64 checked, so that the remote command needs no quoting.
keys=
while read -r type key _ || [ -n "$type" ]; do
  case $type in '' | '#'*) continue ;; esac
  case $type$key in
    *[!A-Za-z0-9+/=@.-]*) key= ;;
  esac
  case $type in ssh-* | ecdsa-* | sk-*) ;; *) key= ;; esac
  if [ -z "$key" ]; then
    echo "This is not a public key in OpenSSH's format: $type ..." >&2
    exit 2
  fi
  keys="$keys $type $key"
done
if [ -z "$keys" ]; then
  echo "There is no public key on standard input: cat key.pub | $0 $name" >&2
  exit 2
fi

# The script for the machines. Its arguments: NAME, then TYPE and KEY of each key.
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

# Prints what to do after a failed login, which fleetctl has reported, and exits.
fail() {
  echo "fleetctl logs in as $user. Where there is no such user, or it does not take your key, name another one:" >&2
  echo "  cat key.pub | $0 $name --ssh-username=root" >&2
  exit 1
}

# Standard input contained the key. fleetctl asks questions at the terminal.
machines=$("$fleetctl" "$@" list-machines --no-legend --full --fields=machine </dev/null) || fail

status=0
# No pattern is expanded: the server chose the words.
set -f
for machine in $machines; do
  case $machine in
    *[!A-Za-z0-9-]* | -*)
      echo "The server sent an invalid machine ID, which is left out." >&2
      status=1
      continue
      ;;
  esac
  printf '%s: ' "$machine"
  # shellcheck disable=SC2086
  "$fleetctl" "$@" ssh --machine "$machine" -- "sh -c '$remote' sh $name$keys" </dev/null || {
    echo "$machine: the key is not there" >&2
    status=1
  }
done
[ $status = 0 ] || fail
