/** The environment of fleetctl in its tests: one of three machines, and a home directory for each case. */

import type { FleetCluster } from "../../lab/fleet_cluster.ts";
import type { Machine } from "../../lab/machine.ts";
import { type Output, until } from "../../lab/process.ts";

/** The cluster that every case works with. */
export interface Stage {
  readonly cluster: FleetCluster;
  /** The machine that runs fleetctl, which has no SSH key. */
  readonly m1: Machine;
  readonly m2: Machine;
  readonly m3: Machine;
  /** The private key that every machine accepts. */
  readonly key: string;
  /** The known_hosts file with the keys of all machines. */
  readonly knownHosts: string;
}

/** One step of the test. */
export interface Case {
  readonly name: string;
  run(stage: Stage): Promise<void>;
}

/** Keys to type, or an action, after the terminal shows a text. */
export interface Step {
  readonly after: RegExp;
  readonly type?: string;
  readonly act?: () => Promise<unknown>;
}

let homes = 0;

/** Runs fleetctl, or a script, on m1 with a home directory of its own. */
export class Home {
  readonly path = `/root/home-${++homes}`;

  constructor(readonly stage: Stage) {}

  /** Creates a home directory with these files; `key` and `hosts` add those of the stage. */
  static async with(stage: Stage, usual: readonly ("key" | "hosts")[], files: Record<string, string> = {}) {
    const home = new Home(stage);
    await stage.m1.must(["mkdir", "-p", home.path]);
    const all = {
      ...usual.includes("key") && { ".ssh/id_ed25519": stage.key },
      ...usual.includes("hosts") && { ".fleetctl/known_hosts": stage.knownHosts },
      ...files,
    };
    for (const [path, text] of Object.entries(all)) await stage.m1.writeFile(`${home.path}/${path}`, text, 0o600);
    return home;
  }

  fleetctl(args: readonly string[], stdin?: string): Promise<Output> {
    return this.run(["fleetctl", ...args], stdin);
  }

  /** Runs a command without a controlling terminal. */
  run(command: readonly string[], stdin?: string): Promise<Output> {
    return this.stage.m1.run(["setsid", "--wait", ...command], {
      env: { HOME: this.path },
      ...stdin !== undefined && { stdin },
    });
  }

  /** Runs a script on a terminal of 91 columns by 33 rows and carries out the steps one after the other. */
  async typed(script: string, steps: readonly Step[]): Promise<Output> {
    const log = `${this.path}/typescript`;
    const keys = `${this.path}/keys`;
    await this.stage.m1.must(["rm", "-f", keys, log]);
    await this.stage.m1.must(["mkfifo", keys]);
    const terminal = `stty cols 91 rows 33; ${script}`;
    // The fifo is held open for writing, or the terminal would hang up after the first line.
    const running = this.run(
      ["sh", "-c", 'exec 9<>"$1"; exec script -qefc "$2" "$3" <"$1" >/dev/null', "sh", keys, terminal, log],
    );
    let shown = "";
    for (const { after, type, act } of steps) {
      await until(`${after} on the terminal`, async () => {
        const { stdout } = await this.stage.m1.run(["cat", log]);
        shown = stdout;
        return after.test(shown) ? true : undefined;
      }).catch((cause) => {
        throw new Error(`${cause.message}, which shows ${JSON.stringify(shown.slice(-500))}`, { cause });
      });
      if (type !== undefined) await this.stage.m1.must(["sh", "-c", 'printf "%s" "$1" >"$2"', "sh", type, keys]);
      await act?.();
    }
    const { code } = await running;
    const stdout = await this.stage.m1.must(["cat", log]);
    return { code, stdout: stdout.replaceAll("\r\n", "\n"), stderr: "" };
  }

  async read(path: string): Promise<string> {
    return await this.stage.m1.must(["cat", `${this.path}/${path}`]);
  }
}
