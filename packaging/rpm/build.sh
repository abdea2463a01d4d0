#!/bin/sh
# Builds an rpm of programs that compile.sh has made: packaging/rpm/build.sh PROGRAMS ARCHITECTURE VERSION FILE.
# Two builds of the same source are equal: SOURCE_DATE_EPOCH is the time of every file.
set -eu

programs=$1 architecture=$2 version=$3 file=$4
: "${SOURCE_DATE_EPOCH:?the time of the files must be set}"
here=$(cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set -- --define "_topdir $work" --define "_dbpath $work/db" --define "programs $programs" \
  --define "architecture $architecture" --define "fleet_version $version"
case $architecture in noarch) set -- "$@" --define "needs_deno yes" ;; esac
# Equal on every host: not its name, its compression, or its own changes of what is packed. (strip would also break the
# programs, whose code follows the executable.)
set -- "$@" --define "_buildhost reproducible" --define "use_source_date_epoch_as_buildtime 1" \
  --define "_binary_payload w10.zstdio" --define "__os_install_post %{nil}" --define "debug_package %{nil}" \
  --define "_build_id_links none"
rpmbuild -bb --quiet --target "$architecture" "$@" "$here/fleet.spec" >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
mv "$work/RPMS/$architecture/fleet-$version-1.$architecture.rpm" "$file"
