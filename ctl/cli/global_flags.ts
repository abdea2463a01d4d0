/**
 * The flags that every command accepts.
 *
 * @module
 */

import type { FlagSpec } from "./argv.ts";

/** The endpoint of the API by default. */
export const defaultEndpoint = "unix:///var/run/fleet.sock";

const text = (name: string, fallback: string, value: string, help: string): FlagSpec => {
  return { name, kind: "text", fallback, value, help };
};
const toggle = (name: string, fallback: boolean, help: string): FlagSpec => ({ name, kind: "switch", fallback, help });
const seconds = (name: string, fallback: number, help: string): FlagSpec => ({ name, kind: "seconds", fallback, help });

/** Every global flag, each also settable as `FLEETCTL_<NAME>`. */
export const globalFlags: readonly FlagSpec[] = [
  {
    ...text(
      "ca-file",
      "",
      "FILE",
      "TLS: trust only certificates of the API or etcd that these authorities have signed",
    ),
    aliases: ["etcd-cafile"],
  },
  {
    ...text("cert-file", "", "FILE", "TLS: present this certificate to the API or etcd"),
    aliases: ["etcd-certfile"],
  },
  toggle("debug", false, "Log every request to standard error"),
  text("driver", "API", "DRIVER", "Reach the cluster by its API or, with etcd, by its store"),
  text(
    "endpoint",
    defaultEndpoint,
    "URL,...",
    "Reach the API at unix:///PATH or an http(s) URL, the first that answers; with --driver=etcd, reach etcd there",
  ),
  text("etcd-key-prefix", "/_coreos.com/fleet/", "PREFIX", "With --driver=etcd: use keys with this prefix"),
  toggle("experimental-api", true, "Deprecated: use --driver"),
  { ...toggle("help", false, "Show the help of a command"), letter: "h" },
  { ...text("key-file", "", "FILE", "TLS: use this private key of --cert-file"), aliases: ["etcd-keyfile"] },
  text("known-hosts-file", "~/.fleetctl/known_hosts", "FILE", "SSH: remember the keys of hosts in this file"),
  seconds("request-timeout", 3, "Limit the time of one request to etcd; one to the API gets 30 unless this is given"),
  text("ssh-identity", "", "FILE", "SSH: log in with this private key before those of the agent and of ~/.ssh"),
  seconds("ssh-timeout", 10, "SSH: limit the time to set up a connection"),
  text("ssh-username", "core", "USER", "SSH: log in as this user"),
  toggle("strict-host-key-checking", true, "SSH: verify the keys of hosts"),
  text("token", "", "TOKEN", "API: send this bearer token; FLEETCTL_TOKEN hides it from other users of this machine"),
  text("token-file", "", "FILE", "API: send the bearer token in this file"),
  text("tunnel", "", "HOST[:PORT]", "SSH: reach the cluster through this host"),
  toggle("version", false, "Print the version (only as the first argument)"),
];

/** Name of the flag that limits all the waiting of a command, in seconds; 0 is no limit. */
export const timeoutFlagName = "timeout";

/** Longest time of one request to the API unless `--request-timeout` is given. */
export const apiTimeout_s = 30;
