/**
 * Requests of the page to the API of its own server.
 *
 * @module
 */

import type {
  AccessEntity,
  AppEntity,
  AppPage,
  AppRequest,
  DrainEntity,
  DrainRequest,
  DrainsEntity,
  ErrorEntity,
  ExplanationEntity,
  HistoryEntity,
  MachineEntity,
  MachinePage,
  MachineUsageEntity,
  PlanEntity,
  PlanRequest,
  RebalanceEntity,
  UnitEntity,
  UsageEntity,
} from "../../api/v1/types.ts";
import { access, refusal, setToken, takesToken, token } from "./session.ts";

/** The API refused a request. The message is the API's. */
export class ApiError extends Error {
  override name = "ApiError";
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** Sends a request. Throws {@link ApiError} if it is refused. */
export async function send(path: string, { method = "GET", body, signal }: {
  readonly method?: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
} = {}): Promise<Response> {
  const held = token();
  const answer = await fetch(path, {
    method,
    headers: {
      ...body !== undefined && { "content-type": "application/json" },
      ...held !== undefined && { authorization: `Bearer ${held}` },
    },
    ...body !== undefined && { body: JSON.stringify(body) },
    ...signal && { signal },
    cache: "no-store",
  }).catch((error) => {
    if (!(error instanceof TypeError)) throw error;
    const consequence = method === "GET" ? "" : ": it is not known whether it has received the request";
    throw new Error(`The server cannot be reached${consequence}.`, { cause: error });
  });
  if (answer.ok) return answer;
  const text = await answer.text();
  const message = messageOf(text) || `HTTP ${answer.status}`;
  // Another token may have been entered in the meantime: the refusal is not about it.
  if (answer.status === 401 && token() === held) {
    takesToken.value = answer.headers.has("www-authenticate");
    // A form that asks for a token says enough to a client without one.
    refusal.value = held === undefined && takesToken.value ? "" : message;
    setToken(undefined);
    access.value = "signed-out";
  }
  throw new ApiError(answer.status, message);
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as ErrorEntity).error.message;
  } catch {
    return text.trim();
  }
}

const json = async <T>(path: string, body?: unknown): Promise<T> =>
  await (await send(path, body === undefined ? {} : { method: "POST", body })).json();

const unitPath = (name: string, below = "") => `/fleet/v1/units/${encodeURIComponent(name)}${below}`;

/** Asks what this client may do, and keeps the answer in {@link access}. */
export async function readAccess(signal: AbortSignal): Promise<void> {
  const { role }: AccessEntity = await (await send("/fleet/v1/access", { signal })).json();
  access.value = role === "write" ? "write" : "read";
}

/** Returns a unit with its options. */
export const readUnit = (name: string): Promise<UnitEntity> => json(unitPath(name));

/** Returns why a unit is on its machine, or on none. */
export const explain = (name: string): Promise<ExplanationEntity> => json(unitPath(name, "/explain"));

/** Returns the versions of a unit, newest first; with `version`, that one with its options. */
export const readHistory = (name: string, version?: number): Promise<HistoryEntity> =>
  json(unitPath(name, "/history") + (version === undefined ? "" : `?version=${version}`));

/** Returns what would happen because of changes. Nothing is changed. */
export const plan = (changes: Partial<PlanRequest>): Promise<PlanEntity> => json("/fleet/v1/plan", changes);

/** Creates or changes a unit. */
export async function putUnit(unit: UnitEntity): Promise<void> {
  await send(unitPath(unit.name), { method: "PUT", body: unit });
}

/** Uploads the content of a file, before the units that name it. */
export async function putContent(hash: string, bytes: Uint8Array): Promise<void> {
  await send(`/fleet/v1/contents/${hash}`, { method: "PUT", body: { content: bytes.toBase64() } });
}

/** Removes a unit from the cluster. */
export async function destroyUnit(name: string): Promise<void> {
  await send(unitPath(name), { method: "DELETE" });
}

/** Requests a restart of a launched unit. */
export async function restartUnit(name: string): Promise<void> {
  await send(unitPath(name, "/restart"), { method: "POST" });
}

/** Sets a key of a machine's metadata, or hides it. */
export async function labelMachine(machine: string, key: string, value: string | undefined): Promise<void> {
  const path = `/${machine}/metadata/${key}`;
  await send("/fleet/v1/machines", {
    method: "PATCH",
    body: [value === undefined ? { op: "remove", path } : { op: "add", path, value }],
  });
}

/** Returns the applications without their units, by name. */
export async function readApps(): Promise<readonly AppEntity[]> {
  const apps: AppEntity[] = [];
  for (let token: string | undefined = ""; token !== undefined;) {
    const page: AppPage = await json(`/fleet/v1/apps${token === "" ? "" : `?nextPageToken=${token}`}`);
    apps.push(...page.apps ?? []);
    token = page.nextPageToken;
  }
  return apps;
}

const appPath = (name: string, below = "") => `/fleet/v1/apps/${encodeURIComponent(name)}${below}`;

/** Returns an application; with `version`, its units as that version left them. */
export const readApp = (name: string, version?: number): Promise<AppEntity> =>
  json(appPath(name, version === undefined ? "" : `?version=${version}`));

/** Starts a roll-out. */
export async function startRollout(app: string, changes: AppRequest): Promise<void> {
  await send(appPath(app), { method: "POST", body: changes });
}

/** Asks a roll-out to `pause`, `resume`, `abort` or `undo`. */
export async function commandRollout(app: string, action: string): Promise<void> {
  await send(appPath(app, "/rollout"), { method: "POST", body: { action } });
}

/** Returns the drain of a machine, with the units that are left there; undefined if there is none. */
export async function readDrain(machine: string): Promise<DrainEntity | undefined> {
  const { drains } = await json<DrainsEntity>("/fleet/v1/drains");
  return drains.find(({ machineID }) => machineID === machine);
}

/** Returns what a drain of one machine would do. Nothing is changed. */
export async function previewDrain(request: DrainRequest): Promise<DrainEntity> {
  const { drains: [drain] } = await json<DrainsEntity>("/fleet/v1/drains", { ...request, dryRun: true });
  return drain!;
}

/** Moves every unit away from machines, or changes the options of their drains. */
export async function drainMachine(request: DrainRequest): Promise<void> {
  await send("/fleet/v1/drains", { method: "POST", body: request });
}

/** Ends the drain of a machine. */
export async function undrainMachine(machine: string, keepsCordon: boolean): Promise<void> {
  await send(`/fleet/v1/drains/${machine}${keepsCordon ? "?keepCordon=true" : ""}`, { method: "DELETE" });
}

/** Gives up the machines that were lost at once: their units move. */
export async function acceptLoss(): Promise<void> {
  await send("/fleet/v1/loss", { method: "DELETE" });
}

const cordonPath = (machine: string) => `/fleet/v1/machines/${machine}/cordon`;

/** Lets a machine take no new units. */
export async function cordonMachine(machine: string, why: string): Promise<void> {
  await send(cordonPath(machine), { method: "PUT", body: why === "" ? {} : { why } });
}

/** Lets a machine take new units again. */
export async function uncordonMachine(machine: string): Promise<void> {
  await send(cordonPath(machine), { method: "DELETE" });
}

/** Returns moves that would even out the load, and those that were requested. */
export const readRebalance = (maxMoves: number): Promise<RebalanceEntity> =>
  json(`/fleet/v1/rebalance?maxMoves=${maxMoves}`);

/** Requests moves. */
export async function requestMoves(moves: RebalanceEntity["proposed"]): Promise<void> {
  await send("/fleet/v1/rebalance", { method: "POST", body: { moves } });
}

/** Cancels the requested moves that are not made yet. */
export async function cancelMoves(): Promise<void> {
  await send("/fleet/v1/rebalance", { method: "DELETE" });
}

/**
 * Follows the journal of a unit on a machine: calls `read` with "" when it begins, then with each part of the text. Resolves
 * when it ends.
 */
export async function followJournal(
  name: string,
  machine: string,
  read: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams({ follow: "true", lines: "200", output: "short-iso", machineID: machine });
  const answer = await send(unitPath(name, `/journal?${query}`), { signal });
  read("");
  const decoder = new TextDecoder();
  for await (const chunk of answer.body!) read(decoder.decode(chunk, { stream: true }));
}

/** Returns the latest lines of the journal of a unit on a machine. */
export async function readJournal(name: string, machineID: string, lines: number): Promise<string> {
  const query = new URLSearchParams({ lines: `${lines}`, output: "short-iso", machineID });
  return await (await send(unitPath(name, `/journal?${query}`))).text();
}

/** Measures what machines use, by ID: one machine with its units, or all machines without them. */
export async function readUsage(machineID?: string): Promise<ReadonlyMap<string, MachineUsageEntity>> {
  const query = machineID === undefined ? "units=false" : new URLSearchParams({ machineID });
  const { machines } = await json<UsageEntity>(`/fleet/v1/usage?${query}`);
  return new Map(machines.map((machine) => [machine.machineID, machine]));
}

/** Returns the machines with what their units reserve, by ID. */
export async function readMachines(): Promise<ReadonlyMap<string, MachineEntity>> {
  const machines = new Map<string, MachineEntity>();
  for (let token: string | undefined = ""; token !== undefined;) {
    const page: MachinePage = await json(`/fleet/v1/machines${token === "" ? "" : `?nextPageToken=${token}`}`);
    for (const machine of page.machines ?? []) machines.set(machine.id, machine);
    token = page.nextPageToken;
  }
  return machines;
}
