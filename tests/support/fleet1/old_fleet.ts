/**
 * An imitation of fleet 1.0's API, for tests. It begins with what the original daemon answered (`recorded.json`: version
 * 1.0.0-15-g45224983 with token_limit=3 on two machines), pages as the original does, and carries out changes as it was
 * seen to: a unit that becomes `loaded` is reported as `deactivating` until it has stopped; the state of one that becomes
 * `inactive` disappears at once.
 *
 * @module
 */

import type { MachineEntity, UnitEntity, UnitStateEntity } from "../../../daemon/api/v1/types.ts";

/** The recorded answers by path and query. */
export const recorded: Readonly<Record<string, Page>> = JSON.parse(
  Deno.readTextFileSync(new URL("./recorded.json", import.meta.url)),
);

interface Page {
  readonly nextPageToken?: string;
  readonly units?: readonly UnitEntity[];
  readonly states?: readonly UnitStateEntity[];
  readonly machines?: readonly MachineEntity[];
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The number of items on a page. */
const pageSize = 3;

/** The imitation. A test may set every public field. */
export class OldFleet {
  readonly units = new Map<string, Mutable<UnitEntity>>();
  /** systemd's states by unit and machine. */
  readonly states = new Map<string, Mutable<UnitStateEntity>>();
  readonly machines: MachineEntity[] = [];
  /** Each change as `PUT a.service loaded`. */
  readonly changes: string[] = [];
  /** Stops a unit on its machine; the unit is `deactivating` until the promise resolves. */
  stop: (name: string, machine: string) => Promise<void> = () => Promise.resolve();
  /** Starts a unit on its machine. */
  start: (name: string, machine: string) => Promise<void> = () => Promise.resolve();
  /** Called before each request; a response that it returns is sent instead. */
  intercept: (method: string, path: string) => Response | undefined = () => undefined;
  /** Work that requests have begun, and that goes on. */
  readonly #work = new Set<Promise<void>>();

  constructor(pages: Readonly<Record<string, Page>> = recorded) {
    for (const { units = [], states = [], machines = [] } of Object.values(pages)) {
      for (const unit of units) this.units.set(unit.name, { ...unit });
      for (const state of states) this.#setState({ ...state });
      this.machines.push(...machines);
    }
  }

  readonly #failures: unknown[] = [];

  /** Waits until the work that requests have begun is done. Throws the errors of `stop` and `start`. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
    if (this.#failures.length > 0) throw new AggregateError(this.#failures.splice(0));
  }

  /** Answers a request. */
  async handle(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const instead = this.intercept(request.method, pathname);
    if (instead) return instead;
    const [, name] = /^\/fleet\/v1\/units\/([^/]+)$/.exec(pathname) ?? [];
    if (name !== undefined && request.method === "PUT") {
      return this.#put(decodeURIComponent(name), await request.json());
    }
    const token = searchParams.get("nextPageToken");
    if (pathname === "/fleet/v1/machines") return this.#page("machines", this.machines, token);
    if (pathname === "/fleet/v1/units") return this.#page("units", [...this.units.values()], token);
    if (pathname === "/fleet/v1/state") return this.#page("states", [...this.states.values()], token);
    return refusal(404, "");
  }

  /** Answers a list as the original does: a token is limit and page, 16 bits each, little-endian, in base64. */
  #page(key: string, items: readonly unknown[], token: string | null): Response {
    const bytes = token === null ? undefined : Uint8Array.fromBase64(token, { alphabet: "base64url" });
    const page = bytes ? bytes[2]! + 256 * bytes[3]! : 1;
    const start = (page - 1) * pageSize;
    const shown = items.slice(start, start + pageSize);
    const next = new Uint8Array([pageSize, 0, (page + 1) & 255, (page + 1) >> 8]).toBase64({ alphabet: "base64url" });
    // A list that ends with its page is followed by an empty one.
    const hasNext = start < items.length && start + pageSize <= items.length;
    return json({ ...hasNext && { nextPageToken: next }, ...shown.length > 0 && { [key]: shown } });
  }

  #put(name: string, { desiredState, options }: Partial<UnitEntity>): Response {
    const unit = this.units.get(name);
    if (!unit || options) return refusal(409, "unit does not exist and options field empty");
    this.changes.push(`PUT ${name} ${desiredState}`);
    unit.desiredState = desiredState ?? "inactive";
    const work = this.#reconcile(unit).catch((error) => void this.#failures.push(error))
      .then(() => void this.#work.delete(work));
    this.#work.add(work);
    return new Response(null, { status: 204, headers: { server } });
  }

  async #reconcile(unit: Mutable<UnitEntity>): Promise<void> {
    const { name } = unit;
    const machineID = unit.machineID ?? "";
    const key = `${name} ${machineID}`;
    const isActive = this.states.get(key)?.systemdActiveState === "active";
    if (unit.desiredState === "inactive") {
      delete unit.machineID;
      unit.currentState = "inactive";
      this.states.delete(key);
      if (isActive) await this.stop(name, machineID);
    } else if (unit.desiredState === "loaded") {
      if (machineID === "") return;
      unit.currentState = "loaded";
      if (isActive) this.#report(name, machineID, "deactivating", "stop-sigterm");
      if (isActive) await this.stop(name, machineID);
      this.#report(name, machineID, "inactive", "dead");
    } else {
      unit.machineID ??= this.machines[0]!.id;
      unit.currentState = "launched";
      await this.start(name, unit.machineID);
      this.#report(name, unit.machineID, "active", "running");
    }
  }

  #report(name: string, machineID: string, systemdActiveState: string, systemdSubState: string): void {
    const hash = "0".repeat(40);
    this.#setState({ hash, machineID, name, systemdActiveState, systemdLoadState: "loaded", systemdSubState });
  }

  #setState(state: UnitStateEntity): void {
    this.states.set(`${state.name} ${state.machineID}`, state);
  }
}

const server = "fleetd/v1.0.0-15-g45224983";

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json", server } });
}

function refusal(code: number, message: string): Response {
  const headers = { "content-type": "application/json", server };
  return new Response(JSON.stringify({ error: { code, message } }), { status: code, headers });
}
