/**
 * Parses fleetd's command line.
 *
 * @module
 */

/** A parsed command line. */
export type Arguments =
  | { readonly kind: "run"; readonly config?: string; readonly listen: readonly string[] }
  /** Prints the configuration and ends. */
  | { readonly kind: "check"; readonly config?: string }
  /** Runs a cluster of this machine alone, in memory, for trying things out. */
  | { readonly kind: "dev"; readonly config?: string; readonly listen: readonly string[] }
  | { readonly kind: "version" }
  | { readonly kind: "help" }
  /** Wrong usage: `message` and the usage go to stderr, `code` is the exit code. */
  | { readonly kind: "wrong"; readonly message: string; readonly code: 1 | 2 };

/** The text that `--help` prints. */
export const usage = `Usage: fleetd [--config PATH] [--listen ADDRESS]...
       fleetd --check-config [--config PATH]
       fleetd --dev [--listen ADDRESS]...

  --config PATH      configuration file (default: /etc/fleet/fleet.conf where it exists)
  --listen ADDRESS   serve the API here too: HOST:PORT, or unix:PATH below /run/fleet, /run/user or /var/lib/fleet
                     (repeatable). Every user who reaches a port of the loopback address controls the cluster, as root.
                     Without it, and without sockets passed by systemd, there is no API
  --check-config     print each option, its value and its source, and exit: 0 if the configuration can be used
  --dev              a cluster of this machine alone, kept in memory, to try things out; its units end with it. The
                     API is on a unix socket, and on no TCP port unless --listen names one
  --version          print the version, the commit and the build
  --help             print this text

Everything else is set in the configuration file or by FLEET_* variables.
`;

/** Parses the arguments after the program's name. Single and double dashes are alike, as in fleet 1.0. */
export function parseArguments(program: string, args: readonly string[]): Arguments {
  let config: string | undefined;
  let mode: "run" | "check" | "dev" = "run";
  const listen: string[] = [];
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "version") return { kind: "version" };
    if (!arg.startsWith("-") || arg === "-") {
      const message = `${program} takes no arguments. Did you mean to invoke fleetctl instead?`;
      return { kind: "wrong", message, code: 1 };
    }
    const [flag = "", ...values] = arg.replace(/^--?/, "").split("=");
    if (flag === "version") return { kind: "version" };
    if (flag === "help" || flag === "h") return { kind: "help" };
    if (flag === "check-config" || flag === "dev") {
      mode = flag === "dev" ? "dev" : "check";
      continue;
    }
    if (flag !== "config" && flag !== "listen") {
      return { kind: "wrong", message: `flag provided but not defined: -${flag}`, code: 2 };
    }
    const value = values.length > 0 ? values.join("=") : rest.shift();
    if (value === undefined || value === "") {
      return { kind: "wrong", message: `flag needs an argument: -${flag}`, code: 2 };
    }
    if (flag === "config") config = value;
    else listen.push(value);
  }
  const file = config !== undefined && { config };
  return mode === "check" ? { kind: mode, ...file } : { kind: mode, ...file, listen };
}
