#!/bin/sh
# Builds fleetd and fleetctl. --help lists the forms in which it can build them.
set -eu

usage() {
  cat <<'USAGE'
usage: ./compile.sh [--launcher | --check | --deb | --rpm] [DIRECTORY]

  (nothing)    self-contained executables, DIRECTORY/fleetd and DIRECTORY/fleetctl (`deno compile`). Needs the
               denort base of this Deno: from dl.deno.land, or from the file that DENORT_BIN names.
  --launcher   the same programs as one bundle each in DIRECTORY/lib, and the scripts DIRECTORY/fleetd and
               DIRECTORY/fleetctl that run them with the deno in PATH. On the target machine they need nothing else:
               no network, no source, no cache.
  --deb        a Debian package with the programs of --launcher, for all architectures: DIRECTORY/fleet_VERSION_all.deb.
               With DENORT_BIN, one with self-contained executables for this architecture.
  --rpm        the same for systems with rpm: DIRECTORY/fleet-VERSION-1.noarch.rpm. Needs rpmbuild. --deb --rpm makes both.
  --check      compiles with deno itself as a stand-in for denort and deletes the result: checks flags, modules and
               embedded files where denort is not available.

The first two also write DIRECTORY/share: unit files, a sample configuration, the license, manual pages, the docs and shell
completions; DIRECTORY/install.sh, which installs all of it; and DIRECTORY/SHA256SUMS. Builds of the same source are
equal: SOURCE_DATE_EPOCH, or else the time of the commit, is their date.

The default DIRECTORY is dist beside this script. With CI=true an incomplete deno.lock is an error.
USAGE
}

# --- Permissions of each program, the same in every form. -------------------------------------------------------
#
# fleetd  net    etcd and the API: their addresses are in the configuration
#         read   TLS files and the units directory: the configuration may name any path
#         write  the daemon's own directories; the sockets of systemd, of the system bus and of a user's bus
#         env    options, and the variables that systemd sets for a service; libraries that read any other variable
#                find it unset
#         run    journalctl and systemctl, for the journal, status and use of units in the API; cat, for the kernel's
#                routing tables, because Deno reads /proc only with all permissions; podman's generators, which report
#                what is wrong with a Quadlet file; systemd-analyze, which reports what is wrong with the unit files of
#                a plan
#         ffi    the C library, at the paths of common distributions: getsockopt(2) identifies the process at the
#                other end of a unix socket
# fleetctl  read, write  unit files, keys and sockets: the command line may name any path
#           run          systemctl and journalctl, for units on this machine; sudo; systemd-analyze for `verify`; stty
#                        for a remote shell; stty, tee and head for questions at /dev/tty, because Deno opens that
#                        device only with all permissions; xdg-open for `ui --open`
# Neither program may run any other program, and fleetctl has no access to FFI.
#
# --unstable-no-legacy-abort: `fleetctl ui` learns that the browser has closed a connection, and Deno prints no advice.
fleetd_flags="--no-prompt --quiet --unstable-net
  --allow-net
  --allow-read
  --allow-write=/run/fleet,/run/containers/systemd/fleet,/run/dbus,/var/run/dbus,/run/systemd/notify,/run/user,/var/lib/fleet
  --allow-env=FLEET_*,LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES,NOTIFY_SOCKET,RUNTIME_DIRECTORY,WATCHDOG_PID,WATCHDOG_USEC,DBUS_*,XDG_RUNTIME_DIR,JOURNAL_STREAM,HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,GRPC_PROXY,http_proxy,https_proxy,all_proxy,grpc_proxy
  --ignore-env
  --allow-sys=uid,networkInterfaces,hostname,loadavg,osUptime,systemMemoryInfo
  --allow-run=journalctl,systemctl,systemd-analyze,cat,/usr/lib/systemd/system-generators/podman-system-generator,/usr/lib/systemd/user-generators/podman-user-generator
  --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6,/lib64/libc.so.6,/usr/lib/libc.so.6"
fleetctl_flags="--no-prompt --quiet --unstable-no-legacy-abort
  --allow-net
  --allow-read
  --allow-write
  --allow-env=FLEETCTL_*,HOME,XDG_CONFIG_HOME,USER,LOGNAME,SSH_AUTH_SOCK,TERM,COLUMNS,LINES,NO_COLOR,FORCE_COLOR,HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,GRPC_PROXY,http_proxy,https_proxy,all_proxy,grpc_proxy
  --ignore-env
  --allow-sys=uid,networkInterfaces,hostname
  --allow-run=systemctl,journalctl,sudo,stty,tee,head,systemd-analyze,xdg-open"

# Optional native parts of ssh2 and dbus-next, which work without them.
externals="--external=cpu-features --external=*.node --external=usocket --external=x11"

fail() {
  printf 'compile.sh: %s\n' "$*" >&2
  exit 1
}

entry_of() {
  case $1 in
    fleetd) echo daemon/main.ts ;;
    fleetctl) echo ctl/main.ts ;;
  esac
}

flags_of() {
  case $1 in
    fleetd) printf '%s' "$fleetd_flags" ;;
    fleetctl) printf '%s' "$fleetctl_flags" ;;
  esac
}

# bundle PROGRAM DIRECTORY: writes DIRECTORY/main.js, the chunks that it loads on demand, etcd3's .proto files, and for
# fleetd the cluster page.
#
# The chunks of `deno bundle` are edited in four ways. CommonJS packages rely on the first two:
# - __dirname is defined as proto/, so that etcd3 finds `${__dirname}/../proto/rpc.proto`.
# - import("package") returns the named exports of a CommonJS package; a chunk would export its default only.
# - The chunk that imports CommonJS packages is not imported where none of its exports is used: it loads node:module,
#   which takes longer than most commands of fleetctl.
# - The program learns its commit and the date of its build.
bundle() {
  mkdir -p "$2"
  # shellcheck disable=SC2086
  (set -f && deno bundle --quiet $frozen --platform=deno --code-splitting --outdir="$2" $externals "$(entry_of "$1")")
  [ -f "$2/main.js" ] || fail "deno bundle wrote no main.js for $(entry_of "$1")"
  echo "s|@FLEET_BUILD@|$commit $(date -u -d "@$built_at" +%F)|" >"$work/mend.sed"
  for chunk in "$2"/*.js; do
    grep -q '^export default require_' "$chunk" || continue
    name=${chunk##*/}
    printf 's|import("\\./%s")|&.then(({ default: it }) => ({ ...it, default: it }))|g\n' "$name" >>"$work/mend.sed"
  done
  for chunk in "$2"/*.js; do
    grep -q '__deno_internal_createRequire' "$chunk" || continue
    printf '/^import "\\.\\/%s";$/d\n' "${chunk##*/}" >>"$work/mend.sed"
  done
  for chunk in "$2"/*.js; do
    {
      if grep -q '__dirname' "$chunk"; then echo 'const __dirname = import.meta.dirname + "/proto";'; fi
      sed -f "$work/mend.sed" "$chunk"
    } >"$work/mended.js"
    mv "$work/mended.js" "$chunk"
  done
  if grep -q 'proto/rpc\.proto' "$2"/*.js; then
    protos=$(deno eval 'import { fileURLToPath } from "node:url";
      console.log(fileURLToPath(new URL("../proto", import.meta.resolve("etcd3"))));')
    mkdir -p "$2/proto"
    cp "$protos"/*.proto "$2/proto/"
    chmod 0644 "$2"/proto/*
  fi
  if [ "$1" = fleetd ]; then bundle_page "$2/ui"; fi
}

# bundle_page DIRECTORY: writes the files of the cluster page, which fleetd serves.
bundle_page() {
  mkdir -p "$1"
  # shellcheck disable=SC2086
  deno bundle --quiet $frozen --platform=browser --minify --output="$1/main.js" daemon/ui/main.tsx
  cp daemon/ui/index.html daemon/ui/style.css daemon/ui/icon.svg "$1/"
  chmod 0644 "$1"/*
}

# launcher PROGRAM: prints its launcher script.
launcher() {
  cat <<'SCRIPT' | sed -e "s|@PROGRAM@|$1|g" -e "s|@FLAGS@|$(flags_of "$1" | tr -s ' \n' ' ')|"
#!/bin/sh
# Runs lib/@PROGRAM@/main.js, beside this file, with the deno in PATH. It uses exec, so that the program keeps the
# process ID: signals, LISTEN_PID and NOTIFY_SOCKET reach it.
self=$0
case $self in */*) ;; *) self=./$self ;; esac
while [ -h "$self" ]; do
  link=$(command -p readlink "$self")
  case $link in /*) self=$link ;; *) self=${self%/*}/$link ;; esac
done
if ! command -v deno >/dev/null; then
  echo "@PROGRAM@: there is no deno in PATH ($PATH): install Deno 2.9 or newer, or build self-contained executables with ./compile.sh" >&2
  exit 127
fi
# Deno's cache only makes the start faster. A service, which has NOTIFY_SOCKET, runs without one.
if [ -z "${HOME-}" ] || [ -n "${NOTIFY_SOCKET-}" ] && [ -z "${DENO_DIR-}" ]; then export DENO_DIR=/dev/null/none; fi
export DENO_NO_UPDATE_CHECK=1
set -f
exec deno run @FLAGS@ --no-config --no-lock --no-remote --no-npm --cached-only "${self%/*}/lib/@PROGRAM@/main.js" "$@"
SCRIPT
}

# install_into DIRECTORY: moves every output there. $work is on the same file system, so that each move is one rename.
install_into() {
  for made in "$work"/out/*; do
    name=${made##*/}
    rm -rf "${1:?}/$name"
    mv "$made" "$1/$name"
  done
}

# hide_imports DIRECTORY: hides the literal names in import(), because `deno run` reads every chunk that it finds there
# before the program starts. (`deno compile` must find them: it leaves out chunks that it does not find.)
hide_imports() {
  for chunk in "$1"/*.js; do
    sed 's|import("\(\./[A-Za-z0-9_]*-[A-Z0-9]*\.js\)")|import(import.meta.resolve("\1"))|g' "$chunk" >"$work/mended.js"
    mv "$work/mended.js" "$chunk"
  done
}

# share: writes $work/out/share, the files that are installed beside the programs: unit files, polkit and sysusers rules,
# a sample configuration, the license, manual pages, the docs and completions; and install.sh, and the checksums of all files.
share() {
  mkdir -p "$work/out/share/completions"
  cp -R packaging/systemd packaging/polkit packaging/sysusers "$work/out/share/"
  cp LICENSE examples/fleet.conf.sample "$work/out/share/"
  for shell in bash zsh fish; do
    case $shell in bash) file=fleetctl ;; zsh) file=_fleetctl ;; fish) file=fleetctl.fish ;; esac
    DENO_DIR=/dev/null/none "$work/out/fleetctl" completion "$shell" >"$work/out/share/completions/$file" </dev/null ||
      fail "fleetctl printed no completion for $shell"
  done
  # shellcheck disable=SC2086
  deno run --quiet $frozen --no-check --allow-read --allow-write="$work/out/share" packaging/man/main.ts \
    "$work/out/share/man" "$(date -u -d "@$built_at" +%F)"
  # shellcheck disable=SC2086
  deno run --quiet $frozen --no-check --allow-read --allow-write="$work/out/share" --allow-run packaging/site/main.ts \
    "$work/out/share/html" >/dev/null
  cp packaging/fleetctl-inject-ssh.sh packaging/install.sh "$work/out/"
  (cd "$work/out" && find . -type f | LC_ALL=C sort | sed 's|^\./||' | xargs -d '\n' sha256sum >"$work/SHA256SUMS")
  mv "$work/SHA256SUMS" "$work/out/"
}

# read_commit: sets $commit and $commit_time, from packaging/commit in an archive that git has made, else from git.
# Without either, the commit is "unknown", and the time is empty.
read_commit() {
  read -r commit commit_time <packaging/commit
  case $commit in \$Format:*) commit=unknown commit_time= ;; esac
  if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] && head=$(git log -1 --format='%H %ct' 2>/dev/null); then
    commit=${head%% *} commit_time=${head##* }
    [ -z "$(git --no-optional-locks status --porcelain --untracked-files=no)" ] || modified=-modified
  fi
  commit=$(printf '%.12s' "$commit")${modified-}
}

make_launchers() {
  for program in fleetd fleetctl; do
    bundle "$program" "$work/out/lib/$program"
    hide_imports "$work/out/lib/$program"
    launcher "$program" >"$work/out/$program"
    chmod 0755 "$work/out/$program"
  done
}

# compile PROGRAM FILE: compiles the bundle in $work/bundle, with its other files, to one executable.
compile() {
  program=$1
  set -- --output="$2"
  for folder in proto ui; do
    if [ -d "$work/bundle/$program/$folder" ]; then set -- "$@" --include="$work/bundle/$program/$folder"; fi
  done
  # shellcheck disable=SC2046
  (set -f && deno compile $(flags_of "$program") --no-config --no-lock --no-remote --no-npm "$@" \
    "$work/bundle/$program/main.js")
}

make_executables() {
  for program in fleetd fleetctl; do
    bundle "$program" "$work/bundle/$program"
    compile "$program" "$work/out/$program" 2>"$work/errors" || {
      cat "$work/errors" >&2
      fail "could not compile $program. If the denort base could not be downloaded: its address is
  https://dl.deno.land/release/v$version/denort-$target.zip
Allow that host, or fetch the file elsewhere, unzip it and run: DENORT_BIN=/path/to/denort ./compile.sh
Without it, ./compile.sh --launcher builds programs that run on an installed deno."
    }
    version_line=$(DENO_DIR=/dev/null/none "$work/out/$program" --version </dev/null 2>/dev/null || true)
    case $version_line in
      "$program version "*) ;;
      *) fail "the executable of $program is not $program (--version prints: ${version_line:-nothing}).
Is DENORT_BIN (${DENORT_BIN:-not set}) a denort of Deno $version for $target? A deno is not one." ;;
    esac
  done
}

check() {
  for program in fleetd fleetctl; do
    bundle "$program" "$work/bundle/$program"
    DENORT_BIN=$(deno eval 'console.log(Deno.execPath())') compile "$program" "$work/stand-in" 2>"$work/errors" || {
      cat "$work/errors" >&2
      fail "$program does not compile"
    }
    for embedded in "$work/bundle/$program"/*.js "$work/bundle/$program"/proto/* "$work/bundle/$program"/ui/*; do
      [ -e "$embedded" ] || continue
      longest=$(awk 'length > n { n = length; line = substr($0, 1, 200) } END { print line }' "$embedded")
      grep -aqF -- "$longest" "$work/stand-in" || fail "the executable of $program does not contain ${embedded#"$work/bundle/"}"
    done
    rm "$work/stand-in"
    echo "$program compiles"
  done
}

what=executables
directory=
for argument in "$@"; do
  case $argument in
    --launcher) what=launchers ;;
    --check) what=check ;;
    --deb | --rpm) what=packages formats="${formats-} ${argument#--}" ;;
    -h | --help)
      usage
      exit 0
      ;;
    -*)
      usage >&2
      exit 2
      ;;
    *)
      if [ -n "$directory" ]; then
        usage >&2
        exit 2
      fi
      directory=$argument
      ;;
  esac
done
case $directory in '' | /*) ;; *) directory=$PWD/$directory ;; esac

command -v deno >/dev/null || fail "there is no deno in PATH: install Deno 2.9.6, or run npx --yes deno@2.9.6 task build"
cd -- "$(dirname -- "$0")"
: "${directory:=$PWD/dist}"
frozen=
if [ "${CI-}" = true ]; then frozen=--frozen; fi
version=$(deno eval 'console.log(Deno.version.deno)')
target=$(deno eval 'console.log(Deno.build.target)')
read_commit
# Of the same source, every build is the same (https://reproducible-builds.org/specs/source-date-epoch/).
built_at=${SOURCE_DATE_EPOCH:-${commit_time:-$(date +%s)}}
mkdir -p "$directory"
work=$(mktemp -d "$directory/.compile.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/out"

# packages: writes a package in each of $formats, and its checksum.
packages() {
  case $formats in *rpm*) command -v rpmbuild >/dev/null || fail "there is no rpmbuild: install rpm-build, on Debian and Ubuntu rpm" ;; esac
  : "${FLEET_PACKAGE_VERSION:=$(deno eval 'console.log(JSON.parse(Deno.readTextFileSync("deno.json")).version)')}"
  if [ -n "${DENORT_BIN-}" ]; then make_executables; else make_launchers; fi
  share
  for format in $formats; do
    case $format-${DENORT_BIN:+native} in
      deb-) architecture=all ;;
      deb-native) architecture=$(dpkg --print-architecture) ;;
      rpm-) architecture=noarch ;;
      rpm-native) architecture=$(uname -m) ;;
    esac
    case $format in
      deb) name=fleet_${FLEET_PACKAGE_VERSION}_$architecture.deb ;;
      rpm) name=fleet-$FLEET_PACKAGE_VERSION-1.$architecture.rpm ;;
    esac
    SOURCE_DATE_EPOCH=$built_at "packaging/$format/build.sh" "$work/out" "$architecture" "$FLEET_PACKAGE_VERSION" "$work/$name"
    (cd "$work" && sha256sum "$name" >"$name.sha256" && mv "$name" "$name.sha256" "$directory/")
  done
}

case $what in
  check) check ;;
  packages) packages ;;
  launchers)
    make_launchers
    share
    install_into "$directory"
    ;;
  executables)
    make_executables
    share
    install_into "$directory"
    ;;
esac
