#!/bin/sh
# Builds a Debian package of programs that compile.sh has made: packaging/deb/build.sh PROGRAMS ARCHITECTURE VERSION FILE.
# Two builds of the same source are equal: SOURCE_DATE_EPOCH is the time of every file.
set -eu

programs=$1 architecture=$2 version=$3 file=$4
: "${SOURCE_DATE_EPOCH:?the time of the files must be set}"
here=$(cd -- "$(dirname -- "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
share=$root/usr/share
doc=$share/doc/fleet

"$programs/install.sh" --prefix=/usr --destdir="$root"
# What only other systems need, or dpkg does itself.
rm "$root/usr/lib/fleet/install.sh" "$root/usr/lib/fleet/files" "$doc/LICENSE" "$doc/examples/fleet.conf"
mv "$share/zsh/site-functions" "$share/zsh/vendor-completions"
find "$share/man" -type f -exec gzip -9n {} +
mkdir "$root/DEBIAN"

{
  printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: fleet\n\n'
  printf 'Files: *\nCopyright: 2014-2026 the authors of fleet\nLicense: Apache-2.0\n'
  printf ' On Debian systems, the license is in /usr/share/common-licenses/Apache-2.0.\n'
} >"$doc/copyright"
printf 'fleet (%s) unstable; urgency=medium\n\n  * See the changelog of the project.\n\n -- fleet <coreos-fleet@users.noreply.github.com>  %s\n' \
  "$version" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"

echo /etc/fleet/fleet.conf >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$root/DEBIAN/$script"; done
# The launchers run with deno, which Debian does not have: apt installs the package without it, and postinst says so.
case $architecture in all) recommends="deno, " ;; *) recommends= ;; esac
size=$(du -k -s --apparent-size "$root/usr" | cut -f 1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@SIZE@|$size|" \
  -e "s|@RECOMMENDS@|$recommends|" "$here/control" >"$root/DEBIAN/control"
chmod -R go-w,a+rX "$root"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$file" >/dev/null
