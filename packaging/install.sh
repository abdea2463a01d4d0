#!/bin/sh
# Installs the programs that compile.sh has written beside this script, and all that belongs to them. It is the only list
# of the files of an installation: the Debian package is made from it, too.
set -eu

usage() {
  cat <<'USAGE'
usage: install.sh [--prefix=/usr/local] [--destdir=DIRECTORY]
       PREFIX/lib/fleet/install.sh --uninstall

  --prefix=PATH         where the programs are used: PATH/bin, PATH/sbin, PATH/lib/fleet, PATH/share
  --destdir=DIRECTORY   writes everything below DIRECTORY instead of /, for packages and images
  --uninstall           removes the files of the installation that this script is part of; /etc/fleet and /var/lib/fleet stay

PREFIX/lib/fleet/files lists the files that are installed. An existing /etc/fleet/fleet.conf is kept.
To upgrade, install again, then run: systemctl restart fleet.service. Units keep running.
USAGE
}

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

# put MODE SOURCE TARGET: installs one file, and lists it.
put() {
  install -D -m "$1" "$here/$2" "$destdir$3"
  echo "$3" >>"$list"
}

# link TARGET PATH: makes a symbolic link, and lists it.
link() {
  mkdir -p "$destdir${2%/*}"
  ln -sfn "$1" "$destdir$2"
  echo "$2" >>"$list"
}

# uninstall: removes what the list beside this script names.
uninstall() {
  [ -f "$here/files" ] || fail "there is no list of files in $here: run PREFIX/lib/fleet/install.sh --uninstall"
  lib=$(sed -n 's|/lib/fleet/files$|/lib/fleet|p' "$here/files")
  root=${here%"$lib"}
  [ "$root" != "$here" ] || fail "this script is not in ${lib:-PREFIX/lib/fleet}, where it was installed"
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    for unit in fleet.service fleet.socket; do
      if systemctl --quiet is-active $unit || systemctl --quiet is-enabled $unit; then
        fail "$unit is active or enabled. First run: systemctl disable --now fleet.socket fleet.service
This machine's units are stopped then, and start on other machines"
      fi
    done
  fi
  while read -r file; do rm -f "$root$file"; done <"$here/files"
  rm -rf "$here" "$root${lib%/lib/fleet}/share/doc/fleet"
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

prefix=/usr/local destdir= remove=
for argument in "$@"; do
  case $argument in
    --prefix=/*) prefix=${argument#--prefix=} ;;
    --destdir=?*) destdir=${argument#--destdir=} ;;
    --uninstall) remove=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
done
prefix=${prefix%/} destdir=${destdir%/}
# The prefix becomes part of a command line in fleet.service.
case $prefix in *[!A-Za-z0-9/._+-]*) fail "--prefix=$prefix: use only letters, digits and / . _ + - in the path" ;; esac
here=$(cd -- "$(dirname -- "$0")" && pwd)
umask 022
if [ -n "$remove" ]; then
  uninstall
  exit
fi
[ -f "$here/SHA256SUMS" ] || fail "$here/SHA256SUMS does not exist: build the programs with compile.sh, and run the install.sh that it writes beside them"
(cd "$here" && sha256sum --check --quiet SHA256SUMS) || fail "the files in $here are not those that were built: build or copy them again"

# systemd and polkit read only these folders; others than /usr and /usr/local have theirs in /etc.
case $prefix in
  /usr) units=/usr/lib/systemd/system users=/usr/lib/sysusers.d rules=/usr/share/polkit-1/rules.d ;;
  /usr/local) units=/usr/local/lib/systemd/system users=/usr/local/lib/sysusers.d rules=/etc/polkit-1/rules.d ;;
  *) units=/etc/systemd/system users=/etc/sysusers.d rules=/etc/polkit-1/rules.d ;;
esac
lib=$prefix/lib/fleet
mkdir -p "$destdir$prefix/lib"
new=$(mktemp -d "$destdir$prefix/lib/.fleet.XXXXXX")
trap 'rm -rf "$new"' EXIT
list=$new/files
for file in fleetd fleetctl fleetctl-inject-ssh.sh install.sh; do install -m 0755 "$here/$file" "$new/$file"; done
if [ -d "$here/lib" ]; then cp -R "$here/lib" "$new/"; fi
chmod -R go-w,a+rX "$new"
(cd "$new" && find . -type f | LC_ALL=C sort | sed "s|^\.|$lib|") >"$list"
link ../lib/fleet/fleetctl "$prefix/bin/fleetctl"
link ../lib/fleet/fleetd "$prefix/sbin/fleetd"
put 0644 share/systemd/fleet.socket "$units/fleet.socket"
put 0644 share/systemd/fleet.service "$units/fleet.service"
sed -i "s|/usr/local/bin/fleetd|$prefix/sbin/fleetd|" "$destdir$units/fleet.service"
put 0644 share/sysusers/fleet.conf "$users/fleet.conf"
put 0644 share/polkit/fleet.rules "$rules/fleet.rules"
put 0644 share/completions/fleetctl "$prefix/share/bash-completion/completions/fleetctl"
put 0644 share/completions/_fleetctl "$prefix/share/zsh/site-functions/_fleetctl"
put 0644 share/completions/fleetctl.fish "$prefix/share/fish/vendor_completions.d/fleetctl.fish"
put 0644 share/systemd/fleet-unprivileged.conf "$prefix/share/doc/fleet/examples/fleet-unprivileged.conf"
put 0644 share/fleet.conf.sample "$prefix/share/doc/fleet/examples/fleet.conf"
put 0644 share/LICENSE "$prefix/share/doc/fleet/LICENSE"
for page in "$here"/share/man/man*/*; do put 0644 "${page#"$here/"}" "$prefix/${page#"$here/"}"; done
(cd "$here/share/html" && find . -type f) | while read -r page; do
  put 0644 "share/html/$page" "$prefix/share/doc/fleet/html/${page#./}"
done
# The programs can be started at any moment of an upgrade: each file is replaced by one rename, a program's main.js after
# the modules that it names. Then what the new version does not have is removed.
(cd "$new" && find . -type f ! -name files ! -name main.js && find . -name main.js) | while read -r file; do
  mkdir -p "$destdir$lib/${file%/*}"
  mv -f "$new/$file" "$destdir$lib/$file"
done
if [ -f "$destdir$lib/files" ]; then
  while read -r file; do
    grep -qxF -- "$file" "$list" || rm -f "$destdir$file"
  done <"$destdir$lib/files"
fi
mv -f "$list" "$destdir$lib/files"
find "$destdir$lib" -type d -empty -delete
[ -e "$destdir/etc/fleet/fleet.conf" ] || install -D -m 0644 "$here/share/fleet.conf.sample" "$destdir/etc/fleet/fleet.conf"
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if systemctl --quiet is-active fleet.service; then
    echo "To use this version, run: systemctl restart fleet.service"
  else
    echo "Edit /etc/fleet/fleet.conf, then run: systemctl enable --now fleet.socket fleet.service"
  fi
fi
