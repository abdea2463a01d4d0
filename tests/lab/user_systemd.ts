/** A systemd of the user core's own on a lab's machine, without the session that usually brings one. */

import type { Machine } from "./machine.ts";
import { type Output, until } from "./process.ts";

const runtime = "/run/user/1000";

/** The files that a machine needs for it: the user's bus, as Debian's package dbus-user-session has it. */
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

/** What runs as core, and knows core's systemd. */
export interface UserSystemd {
  /** `NAME=value`, for whatever else shall find it. */
  readonly env: readonly string[];
  /** Runs a program as core, for half a minute at most. */
  run(...command: string[]): Promise<Output>;
}

/** Starts it. Throws when it does not come up. */
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
