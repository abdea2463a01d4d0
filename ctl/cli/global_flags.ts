/**
 * The flags that every command accepts.
 *
 * @module
 */

import { type Flags, type FlagSpec, secondsFlag, switchFlag, textFlag } from "./argv.ts";

/** The endpoint of the API by default. */
const defaultEndpoint = "unix:///var/run/fleet.sock";

/** Every global flag, each also settable as `FLEETCTL_<NAME>`. */
export const globalFlags: readonly FlagSpec[] = [
  textFlag("ca-file", "FILE", "TLS: trust only certificates of the API or etcd that these authorities have signed", {
    aliases: ["etcd-cafile"],
  }),
  textFlag("cert-file", "FILE", "TLS: present this certificate to the API or etcd", { aliases: ["etcd-certfile"] }),
  textFlag("context", "NAME", "Reach the cluster of this name, see fleetctl context"),
  switchFlag("debug", "Log every request to standard error"),
  textFlag("driver", "DRIVER", "Reach the cluster by its API or, with etcd, by its store", { fallback: "API" }),
  textFlag(
    "endpoint",
    "URL,...",
    "Reach the API at unix:///PATH or an http(s) URL, the first that answers; with --driver=etcd, reach etcd there",
    { fallback: defaultEndpoint },
  ),
  textFlag("etcd-key-prefix", "PREFIX", "With --driver=etcd: use keys with this prefix", {
    fallback: "/_coreos.com/fleet/",
  }),
  { ...switchFlag("experimental-api", "Deprecated: use --driver"), fallback: true },
  switchFlag("help", "Show the help of a command", "h"),
  textFlag("key-file", "FILE", "TLS: use this private key of --cert-file", { aliases: ["etcd-keyfile"] }),
  textFlag("known-hosts-file", "FILE", "SSH: remember the keys of hosts in this file", {
    fallback: "~/.fleetctl/known_hosts",
  }),
  secondsFlag(
    "request-timeout",
    3,
    "Limit the time of one request to etcd; one to the API gets 30 unless this is given",
  ),
  textFlag("ssh-identity", "FILE", "SSH: log in with this private key before those of the agent and of ~/.ssh"),
  secondsFlag("ssh-timeout", 10, "SSH: limit the time to set up a connection"),
  textFlag("ssh-username", "USER", "SSH: log in as this user", { fallback: "core" }),
  { ...switchFlag("strict-host-key-checking", "SSH: verify the keys of hosts"), fallback: true },
  textFlag("token", "TOKEN", "API: send this bearer token; FLEETCTL_TOKEN hides it from other users of this machine"),
  textFlag("token-file", "FILE", "API: send the bearer token in this file"),
  textFlag("tunnel", "HOST[:PORT]", "SSH: reach the cluster through this host"),
  switchFlag("version", "Print the version, the commit and the build (only as the first argument)"),
];

/** Name of the flag that limits all the waiting of a command, in seconds; 0 is no limit. */
export const timeoutFlagName = "timeout";

/** Longest time of one request to the API unless `--request-timeout` is given. */
export const apiTimeout_s = 30;

/** Global flags that a printed command line does not repeat: a token is secret. */
const unrepeated = ["debug", "help", "token", "version"];

/** Returns the first words of a command line for the cluster that these flags select. */
export function fleetctlWords(given: Flags): string[] {
  const repeated = globalFlags.filter(({ name }) => given.given(name) && !unrepeated.includes(name));
  return ["fleetctl", ...repeated.map(({ name }) => `--${name}=${given.values.get(name)}`)];
}
