/** A systemd user instance for the user core on a lab's machine, without the login session that usually starts one. */

import type { Machine } from "./machine.ts";
import { type Output, until } from "./process.ts";

const runtime = "/run/user/1000";

/** Files that a machine needs for the user's bus, as in Debian's package dbus-user-session. */
export const userBus: Readonly<Record<string, string>> = {
  "/etc/systemd/user/dbus.socket": "[Socket]\nListenStream=%t/bus\n",
  "/etc/systemd/user/dbus.service": `[Unit]
Requires=dbus.socket

[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only
Slice=session.slice
`,
  "/etc/systemd/user/sockets.target.d/dbus.conf": "[Unit]\nWants=dbus.socket\n",
};

/** A running systemd user instance of core. */
export interface UserSystemd {
  /** Environment variables (`NAME=value`) with which programs find the instance and its bus. */
  readonly env: readonly string[];
  /** Runs a program as core, with these variables, for half a minute at most. */
  run(...command: string[]): Promise<Output>;
}

/** Starts core's systemd, and waits until it is on its bus. Throws at the deadline. */
export async function startUserSystemd(machine: Machine): Promise<UserSystemd> {
  const env = [`XDG_RUNTIME_DIR=${runtime}`, `DBUS_SESSION_BUS_ADDRESS=unix:path=${runtime}/bus`];
  await machine.sh(`install -d -o core -g core -m 0700 ${runtime}`);
  await machine.must([
    "systemd-run",
    "--unit=core-systemd",
    "--uid=core",
    "--property=Delegate=yes",
    "--property=KillMode=mixed",
    ...env.map((each) => `--setenv=${each}`),
    "/lib/systemd/systemd",
    "--user",
  ]);
  const run = (...command: string[]) => {
    const as_core = ["setpriv", "--reuid=core", "--regid=core", "--clear-groups", "env", ...env, ...command];
    return machine.run(as_core, { timeout_ms: 30_000 });
  };
  await until("core's systemd on its bus", async () => {
    const answer = await run("busctl", "--user", "status", "org.freedesktop.systemd1");
    return answer.code === 0 || undefined;
  });
  return { env, run };
}
