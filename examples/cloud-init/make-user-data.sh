#!/bin/sh
# Makes an authority, certificates, and one user-data file for each machine of a cluster.
set -eu
if [ $# -lt 4 ]; then
  cat >&2 <<'USAGE'
usage: make-user-data.sh DIRECTORY PACKAGE-URL PACKAGE-SHA256 IP...

Writes DIRECTORY/user-data-IP.yaml for each address, and the keys to DIRECTORY. The addresses are those that the machines
will have in their private network. An authority and certificates that are in DIRECTORY already are used again.
USAGE
  exit 2
fi
# quoted TEXT: prints the text as the replacement of a command of sed.
quoted() { printf %s "$1" | sed 's/[|&\\]/\\&/g'; }

template=$(dirname -- "$0")/user-data.yaml
directory=$1 package=$2 sha256=$3
shift 3
umask 077
mkdir -p "$directory"
[ -e "$directory/ca.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
  -subj "/CN=fleet authority" -keyout "$directory/ca.key" -out "$directory/ca.pem"
members= servers=
for ip; do
  members=$members,etcd-$ip=https://$ip:2380
  servers=$servers,https://$ip:2379
done
for name in "$@" me; do
  case $name in
    me) echo extendedKeyUsage=clientAuth ;;
    *) echo "subjectAltName=IP:$name,IP:127.0.0.1" ;;
  esac >"$directory/$name.ext"
  [ -e "$directory/$name.pem" ] || {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
      -keyout "$directory/$name.key" -out "$directory/$name.csr"
    openssl x509 -req -in "$directory/$name.csr" -CA "$directory/ca.pem" -CAkey "$directory/ca.key" -CAcreateserial \
      -days 365 -extfile "$directory/$name.ext" -out "$directory/$name.pem"
  }
done
for ip; do
  sed -e "s|@CA@|$(base64 -w0 "$directory/ca.pem")|" -e "s|@CERTIFICATE@|$(base64 -w0 "$directory/$ip.pem")|" \
    -e "s|@KEY@|$(base64 -w0 "$directory/$ip.key")|" -e "s|@SERVERS@|${servers#,}|" -e "s|@MEMBERS@|${members#,}|" \
    -e "s|@IP@|$ip|g" -e "s|@PACKAGE@|$(quoted "$package")|" -e "s|@SHA256@|$sha256|" \
    "$template" >"$directory/user-data-$ip.yaml"
  echo "$directory/user-data-$ip.yaml"
done
