#!/bin/sh
# Makes fleetd and fleetctl. Run with --help for the ways to do so.
set -eu

usage() {
  cat <<'USAGE'
usage: ./compile.sh [--launcher | --check] [DIRECTORY]

  (nothing)    self-contained executables, DIRECTORY/fleetd and DIRECTORY/fleetctl (`deno compile`). Needs the
               denort base of this Deno: from dl.deno.land, or from the file that DENORT_BIN names.
  --launcher   the same programs as one bundle each in DIRECTORY/lib, and the scripts DIRECTORY/fleetd and
               DIRECTORY/fleetctl that run them on the deno found in PATH. Where they run they need nothing else:
               no network, no source, no cache.
  --check      compiles onto a stand-in base and throws the result away: proves flags, modules and embedded files
               where no denort can be had.

Both put DIRECTORY/share beside the programs: unit files, a sample configuration, the license and shell completions.

DIRECTORY is dist beside this script, unless given. With CI=true a deno.lock that is not complete is an error.
USAGE
}

# --- What each program may do, in both forms. -------------------------------------------------------------------
#
# fleetd  net    etcd and the API listen where the configuration says
#         read   its configuration names TLS files and the units directory, which may be anywhere
#         write  its own directories, and the sockets of systemd and of the system's or a user's bus
#         env    its options, and what systemd tells a service; any other name reads as unset (the libraries probe)
#         run    what the API tells of a unit's journal and status; cat, for the kernel's routing tables, which Deno
#                reads for nobody who may not do everything
#         ffi    the C library, where distributions have it: which process speaks on a unix socket (getsockopt(2))
# fleetctl  read, write  unit files, keys and sockets are wherever its user's arguments say
#           run          `status` and `journal` of a unit on this very machine; systemd-analyze for `verify`;
#                        stty for a shell on another; stty, tee and head to ask at /dev/tty, which Deno opens only
#                        for programs that may do everything
# Neither may start any other program, nor fleetctl call anything outside the runtime.
fleetd_flags="--no-prompt --quiet --unstable-net
  --allow-net
  --allow-read
  --allow-write=/run/fleet,/run/dbus,/var/run/dbus,/run/systemd/notify,/run/user,/var/lib/fleet
  --allow-env=FLEET_*,LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES,NOTIFY_SOCKET,RUNTIME_DIRECTORY,WATCHDOG_PID,WATCHDOG_USEC,DBUS_*,XDG_RUNTIME_DIR,JOURNAL_STREAM,HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,GRPC_PROXY,http_proxy,https_proxy,all_proxy,grpc_proxy
  --ignore-env
  --allow-sys=uid,networkInterfaces,hostname
  --allow-run=journalctl,systemctl,cat
  --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6,/lib64/libc.so.6,/usr/lib/libc.so.6"
fleetctl_flags="--no-prompt --quiet
  --allow-net
  --allow-read
  --allow-write
  --allow-env=FLEETCTL_*,HOME,USER,LOGNAME,SSH_AUTH_SOCK,TERM,COLUMNS,LINES,NO_COLOR,FORCE_COLOR,HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,GRPC_PROXY,http_proxy,https_proxy,all_proxy,grpc_proxy
  --ignore-env
  --allow-sys=uid,networkInterfaces,hostname
  --allow-run=systemctl,journalctl,sudo,stty,tee,head,systemd-analyze"

# Optional native parts of ssh2 and dbus-next: they do without.
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

# bundle PROGRAM DIRECTORY: DIRECTORY/main.js, the chunks it loads only when needed, and etcd3's .proto files.
#
# Things that are mended in the bundle's chunks. The first two are what CommonJS packages count on:
# - __dirname. It is made to name proto/, so that etcd3's `${__dirname}/../proto/rpc.proto` is found there.
# - import("package") gives its named exports. Of a chunk it would give the default export alone.
# - The chunk that imports CommonJS packages is left out where nothing of it is used: it loads node:module, which takes
#   longer than most of what fleetctl does.
bundle() {
  mkdir -p "$2"
  # shellcheck disable=SC2086
  (set -f && deno bundle --quiet $frozen --platform=deno --code-splitting --outdir="$2" $externals "$(entry_of "$1")")
  [ -f "$2/main.js" ] || fail "deno bundle made no main.js of $(entry_of "$1")"
  : >"$work/mend.sed"
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
}

# launcher PROGRAM: the text of its script.
launcher() {
  cat <<'SCRIPT' | sed -e "s|@PROGRAM@|$1|g" -e "s|@FLAGS@|$(flags_of "$1" | tr -s ' \n' ' ')|"
#!/bin/sh
# Runs lib/@PROGRAM@/main.js, which stands beside this file, on the deno found in PATH. exec: the process that was
# started is the program itself, so that signals, LISTEN_PID and NOTIFY_SOCKET reach it.
self=$0
case $self in */*) ;; *) self=./$self ;; esac
while [ -h "$self" ]; do
  link=$(command -p readlink "$self")
  case $link in /*) self=$link ;; *) self=${self%/*}/$link ;; esac
done
if ! command -v deno >/dev/null; then
  echo "@PROGRAM@: there is no deno in PATH ($PATH): install Deno 2.9 or newer, or make executables that carry it with ./compile.sh" >&2
  exit 127
fi
# Deno's cache only makes a start faster. A service has no home to keep one in, and needs none.
if [ -z "${HOME-}" ] && [ -z "${DENO_DIR-}" ]; then export DENO_DIR=/dev/null/none; fi
export DENO_NO_UPDATE_CHECK=1
set -f
exec deno run @FLAGS@ --no-config --no-lock --no-remote --no-npm --cached-only "${self%/*}/lib/@PROGRAM@/main.js" "$@"
SCRIPT
}

# install_into DIRECTORY: puts everything made there. $work is in it, so that each step is one rename.
install_into() {
  for made in "$work"/out/*; do
    name=${made##*/}
    rm -rf "${1:?}/$name"
    mv "$made" "$1/$name"
  done
}

# hide_imports DIRECTORY: `deno run` reads each chunk that it finds in an import() before the program begins, needed or
# not. Here it finds none. (In an executable it must: what it does not find is left out.)
hide_imports() {
  for chunk in "$1"/*.js; do
    sed 's|import("\(\./[A-Za-z0-9_]*-[A-Z0-9]*\.js\)")|import(import.meta.resolve("\1"))|g' "$chunk" >"$work/mended.js"
    mv "$work/mended.js" "$chunk"
  done
}

# share: what an operator installs beside the programs, in $work/out/share: unit files, rules, sample configuration, license and
# completions.
share() {
  mkdir -p "$work/out/share/completions"
  cp -R packaging/systemd packaging/polkit packaging/sysusers "$work/out/share/"
  cp LICENSE examples/fleet.conf.sample "$work/out/share/"
  for shell in bash zsh fish; do
    case $shell in bash) file=fleetctl ;; zsh) file=_fleetctl ;; fish) file=fleetctl.fish ;; esac
    DENO_DIR=/dev/null/none "$work/out/fleetctl" completion "$shell" >"$work/out/share/completions/$file" </dev/null ||
      fail "fleetctl does not print its completion for $shell"
  done
  cp packaging/fleetctl-inject-ssh.sh "$work/out/"
}

make_launchers() {
  for program in fleetd fleetctl; do
    bundle "$program" "$work/out/lib/$program"
    hide_imports "$work/out/lib/$program"
    launcher "$program" >"$work/out/$program"
    chmod 0755 "$work/out/$program"
  done
}

# compile PROGRAM FILE: one executable of its bundle in $work/bundle, with the .proto files inside.
compile() {
  include=
  if [ -d "$work/bundle/$1/proto" ]; then include="--include=$work/bundle/$1/proto"; fi
  # shellcheck disable=SC2046
  (set -f && deno compile $(flags_of "$1") --no-config --no-lock --no-remote --no-npm ${include:+"$include"} \
    --output="$2" "$work/bundle/$1/main.js")
}

make_executables() {
  for program in fleetd fleetctl; do
    bundle "$program" "$work/bundle/$program"
    compile "$program" "$work/out/$program" 2>"$work/errors" || {
      cat "$work/errors" >&2
      fail "could not make $program. If the denort base was not to be had: it comes from
  https://dl.deno.land/release/v$version/denort-$target.zip
Allow that host, or fetch the file elsewhere, unzip it and run: DENORT_BIN=/path/to/denort ./compile.sh
Without it, ./compile.sh --launcher makes programs that run on an installed deno."
    }
    said=$(DENO_DIR=/dev/null/none "$work/out/$program" --version </dev/null 2>/dev/null || true)
    case $said in
      "$program version "*) ;;
      *) fail "what was made of $program does not run as $program (--version says: ${said:-nothing}).
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
    for embedded in "$work/bundle/$program"/*.js "$work/bundle/$program"/proto/*; do
      [ -e "$embedded" ] || continue
      longest=$(awk 'length > n { n = length; line = substr($0, 1, 200) } END { print line }' "$embedded")
      grep -aqF -- "$longest" "$work/stand-in" || fail "$program would not carry ${embedded#"$work/bundle/"}"
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
mkdir -p "$directory"
work=$(mktemp -d "$directory/.compile.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/out"

case $what in
  check) check ;;
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
