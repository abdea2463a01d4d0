/** A lab with fleet on its machines, with helpers for tests and demonstrations. */

import type { MachinePage, UnitEntity, UnitPage, UnitStateEntity, UnitStatePage } from "../../daemon/api/v1/types.ts";
import { distVariable } from "../support/dist_variable.ts";
import { apiSocket, type FleetConf, fleetctl } from "./fleet.ts";
import { type Lab, type LabOptions, withLab } from "./lab.ts";
import type { Machine } from "./machine.ts";
import { must, type Output, until } from "./process.ts";

const root = new URL("../../", import.meta.url).pathname;

/** A unit that runs until it is stopped. */
export const sleeper = "[Service]\nExecStart=/bin/sleep infinity\n";

/** Builds the programs that the machines run, unless this run of the tests has built them. Returns their directory. */
export async function buildFleet(): Promise<string> {
  const built = Deno.env.get(distVariable);
  if (built !== undefined) return built;
  // compile.sh looks for deno in PATH, where the running executable may be missing.
  const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`;
  await must([`${root}compile.sh`, "--launcher"], { env: { PATH: path } });
  return `${root}dist`;
}

/** Options of {@link withFleet}. */
export interface FleetClusterOptions extends Omit<LabOptions, "fleet"> {
  readonly conf?: FleetConf;
  readonly tcp?: boolean;
}

/** Runs `work` on a cluster after all its machines have joined. */
export async function withFleet<T>(
  options: FleetClusterOptions,
  work: (cluster: FleetCluster) => Promise<T>,
): Promise<T> {
  const { conf = {}, tcp = false, ...rest } = options;
  const dist = await buildFleet();
  return await withLab({ ...rest, fleet: { dist, conf, tcp } }, async (lab) => {
    const cluster = new FleetCluster(lab);
    await cluster.joined(lab.machines.filter((machine) => machine.running));
    return await work(cluster);
  });
}

/** The machines of a lab as one cluster. */
export class FleetCluster {
  constructor(readonly lab: Lab) {}

  machine(name: string): Machine {
    return this.lab.machine(name);
  }

  /** Returns the machine whose ID begins with the first eight characters of `id`. */
  byId(id: string): Machine {
    return this.lab.machines.find((machine) => machine.id.startsWith(id.slice(0, 8)))!;
  }

  /** Runs fleetctl on a machine. Throws with its output if it fails. */
  async fleetctl(machine: Machine, ...args: string[]): Promise<Output> {
    const output = await fleetctl(machine, ...args);
    if (output.code === 0) return output;
    const text = `${output.stdout}${output.stderr}`.trim();
    throw new Error(`fleetctl ${args.join(" ")} on ${machine.name} exited with ${output.code}: ${text}`);
  }

  /** Sends one request to a machine's API over its Unix socket. Further pages are not requested. */
  async request(
    machine: Machine,
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(machine) } });
    const response = await fetch(`http://localhost/fleet/v1${path}`, {
      client,
      method,
      // If the daemon hangs, the test fails instead of hanging too.
      signal: AbortSignal.timeout(60_000),
      headers: { ...headers, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    // The body is read here because the client is closed at the end of this function.
    const text = await response.text();
    return new Response([101, 204, 205, 304].includes(response.status) ? null : text, response);
  }

  async #get<T>(machine: Machine, path: string): Promise<T> {
    const response = await this.request(machine, "GET", path);
    if (response.status !== 200) throw new Error(`GET ${path} on ${machine.name}: ${await response.text()}`);
    return await response.json() as T;
  }

  async #all<Page extends { readonly nextPageToken?: string }>(machine: Machine, path: string): Promise<Page[]> {
    const pages: Page[] = [];
    for (let token: string | undefined = ""; token !== undefined;) {
      const page: Page = await this.#get<Page>(machine, token === "" ? path : `${path}?nextPageToken=${token}`);
      pages.push(page);
      token = page.nextPageToken;
    }
    return pages;
  }

  async states(machine: Machine): Promise<UnitStateEntity[]> {
    return (await this.#all<UnitStatePage>(machine, "/state")).flatMap((page) => page.states ?? []);
  }

  async units(machine: Machine): Promise<UnitEntity[]> {
    return (await this.#all<UnitPage>(machine, "/units")).flatMap((page) => page.units ?? []);
  }

  async members(machine: Machine): Promise<string[]> {
    const pages = await this.#all<MachinePage>(machine, "/machines");
    return pages.flatMap((page) => (page.machines ?? []).map((one) => one.id));
  }

  /** Creates or changes a unit through one machine's API. `text` is its unit file. Returns the status code. */
  async put(machine: Machine, name: string, desiredState: string, text?: string): Promise<number> {
    const options = text === undefined ? {} : { options: optionsOf(text) };
    const response = await this.request(machine, "PUT", `/units/${encodeURIComponent(name)}`, {
      name,
      desiredState,
      ...options,
    });
    if (response.status >= 300) throw new Error(`PUT ${name}: ${response.status} ${await response.text()}`);
    return response.status;
  }

  async destroy(machine: Machine, name: string): Promise<void> {
    const response = await this.request(machine, "DELETE", `/units/${encodeURIComponent(name)}`);
    if (response.status >= 300) throw new Error(`DELETE ${name}: ${response.status} ${await response.text()}`);
  }

  /** Waits until each of these machines lists exactly them as members. */
  async joined(machines: readonly Machine[], deadline_ms = 60_000): Promise<void> {
    if (machines.length === 0) return;
    const wanted = machines.map((machine) => machine.id).sort().join();
    await until(`the members ${machines.map((machine) => machine.name).join()}`, async () => {
      const listed = await Promise.all(machines.map((machine) => this.members(machine)));
      return listed.every((members) => members.sort().join() === wanted) || undefined;
    }, { deadline_ms, every_ms: 50 });
  }

  /** Waits until the unit states that one machine lists pass `test`. Returns them; throws with the last ones at the deadline. */
  statesWhere(
    machine: Machine,
    what: string,
    test: (states: readonly UnitStateEntity[]) => boolean,
    deadline_ms = 60_000,
  ): Promise<readonly UnitStateEntity[]> {
    let last: readonly UnitStateEntity[] = [];
    return until(what, async () => {
      last = await this.states(machine);
      return test(last) ? last : undefined;
    }, { deadline_ms, every_ms: 50 }).catch((error) => {
      const seen = last.map((one) => `${one.name} ${one.machineID?.slice(0, 8)} ${one.systemdActiveState}`).join("\n");
      throw new Error(`${error.message}; last seen:\n${seen}`, { cause: error });
    });
  }

  /** Waits until each of the units is active on exactly one machine. Returns the machine ID of each listed unit. */
  async active(machine: Machine, names: readonly string[], deadline_ms = 60_000): Promise<Map<string, string>> {
    const states = await this.statesWhere(
      machine,
      `${names.length} active units`,
      (all) =>
        names.every((name) => {
          const ours = all.filter((state) => state.name === name);
          return ours.length === 1 && ours[0]!.systemdActiveState === "active";
        }),
      deadline_ms,
    );
    return new Map(states.map((state) => [state.name, state.machineID!]));
  }

  /** Returns the main PID of a unit on a machine; 0 if it does not run. */
  async pid(machine: Machine, unit: string): Promise<number> {
    return Number(await machine.must(["systemctl", "show", "--property=MainPID", "--value", unit]));
  }

  /** Returns the invocation ID of a unit on a machine: systemd generates a new one at each start (systemd.exec(5)). */
  async invocation(machine: Machine, unit: string): Promise<string> {
    return (await machine.must(["systemctl", "show", "--property=InvocationID", "--value", unit])).trim();
  }

  /** Waits until an engine leads. Returns its machine. */
  async leader(): Promise<Machine> {
    return await until("a leader", async () => {
      const { stdout } = await this.lab.etcd.ctl("get", "--print-value-only", "/_coreos.com/fleet/leader");
      return stdout.trim() === "" ? undefined : this.byId(JSON.parse(stdout).machine);
    });
  }
}

/** Returns the options of a simple unit file (one line each) in the format of the API. */
export function optionsOf(text: string): { section: string; name: string; value: string }[] {
  let section = "";
  return text.split("\n").flatMap((line) => {
    const header = /^\[(.*)\]$/.exec(line);
    if (header) section = header[1]!;
    const option = /^([^=]+)=(.*)$/.exec(line);
    return option ? [{ section, name: option[1]!, value: option[2]! }] : [];
  });
}
