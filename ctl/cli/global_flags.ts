/**
 * The flags every command understands.
 *
 * @module
 */

import type { FlagSpec } from "./argv.ts";

/** Where the API is when nobody says otherwise. */
export const defaultEndpoint = "unix:///var/run/fleet.sock";

const text = (name: string, fallback: string, help: string): FlagSpec => ({ name, kind: "text", fallback, help });
const toggle = (name: string, fallback: boolean, help: string): FlagSpec => ({ name, kind: "switch", fallback, help });
const seconds = (name: string, fallback: number, help: string): FlagSpec => ({ name, kind: "seconds", fallback, help });

/** Every global flag, each also settable as `FLEETCTL_<NAME>`. */
export const globalFlags: readonly FlagSpec[] = [
  {
    ...text("ca-file", "", "TLS: certificates that the API's (or etcd's) certificate must be signed by"),
    aliases: ["etcd-cafile"],
  },
  { ...text("cert-file", "", "TLS: certificate to show to the API or etcd"), aliases: ["etcd-certfile"] },
  toggle("debug", false, "Log every request to standard error"),
  text("driver", "API", 'How to reach the cluster: "API" or "etcd"'),
  text(
    "endpoint",
    defaultEndpoint,
    "Where the API is: unix:///path or an http(s) URL, or several between commas; with --driver=etcd, where etcd is",
  ),
  text("etcd-key-prefix", "/_coreos.com/fleet/", "With --driver=etcd: the prefix of fleet's keys"),
  toggle("experimental-api", true, "Deprecated: use --driver"),
  { ...toggle("help", false, "Show how a command is used"), letter: "h" },
  { ...text("key-file", "", "TLS: private key of --cert-file"), aliases: ["etcd-keyfile"] },
  text("known-hosts-file", "~/.fleetctl/known_hosts", "SSH: file that remembers the keys of hosts"),
  seconds(
    "request-timeout",
    3,
    "Longest time for one request; requests to the API get 30 seconds unless this is given",
  ),
  text("ssh-identity", "", "SSH: private key to log in with, before those of the agent and of ~/.ssh"),
  seconds("ssh-timeout", 10, "SSH: longest time to set up a connection"),
  text("ssh-username", "core", "SSH: user to log in as"),
  toggle("strict-host-key-checking", true, "SSH: verify the keys of hosts"),
  text("token", "", "API: bearer token; other users can see it on the command line, so prefer FLEETCTL_TOKEN"),
  text("token-file", "", "API: file with the bearer token"),
  text("tunnel", "", "SSH: reach the cluster through this host[:port]"),
  toggle("version", false, "Print the version (only as the first argument)"),
];

/** Name of the flag of those commands that wait which limits their waiting as a whole, in seconds; 0 does not. */
export const timeoutFlagName = "timeout";

/** How long the API may take for one request unless `--request-timeout` says otherwise. */
export const apiTimeout_s = 30;
