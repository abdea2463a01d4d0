/**
 * `/units/{name}/journal` and `/units/{name}/status`: the journal and the status of a unit on the machine that runs it.
 * The daemon that gets the request forwards it to that machine's daemon, so that clients need no SSH.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import type { Cluster, Machine, MachineId, UnitName } from "../../../registry/model.ts";
import { prefers } from "../http/content_negotiation.ts";
import type { Api, Call } from "../context.ts";
import { maxMachineRequests } from "../shared_state.ts";
import { statesOf } from "../v1/entities.ts";
import { clusterNameInSystemd, forwardedHeader, inTime, messageIn, NotInTimeError } from "../machine/forwarding.ts";
import { type JournalQuery, type LocalMachine, outputs } from "../machine/port.ts";
import type { Wake } from "../events/event_buffer.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { pulledFrom } from "../http/pull.ts";
import { errorReply, jsonReply, textReply } from "../http/responses.ts";
import { apiPrefixes, type UnitStatusEntity } from "../v1/types.ts";

const maxLines = 100_000;

/** The header of a journal that says that `since`, `until` and `grep` are supported: older daemons ignore them. */
const selectedHeader = "Fleet-Selected";

/** Longest pattern of `grep`, in characters. */
const maxPattern = 1000;

/** Returns the entries that a request selects, or why it is refused. */
function selectionOf(query: URLSearchParams): Partial<JournalQuery> | { readonly refusal: string } {
  const selection: { since_ms?: number; until_ms?: number; grep?: string } = {};
  for (const name of ["since", "until"] as const) {
    const text = query.get(name);
    if (text === null) continue;
    if (!/^\d{1,15}$/.test(text)) {
      return { refusal: `invalid ${name} ${JSON.stringify(text)}: expect milliseconds since the epoch` };
    }
    selection[`${name}_ms`] = Number(text);
  }
  const grep = query.get("grep");
  if (grep === null) return selection;
  if (grep.length > maxPattern || /[\0\n]/.test(grep)) {
    return { refusal: `invalid grep: expect a regular expression of at most ${maxPattern} characters on one line` };
  }
  return { ...selection, grep };
}

/** A response with a body of unknown length. */
interface StreamedResponse {
  readonly body: ReadableStream<Uint8Array>;
  readonly init: ResponseInit;
  /** The other machine that the body comes from, if it does, and the view of the cluster in which it was found. */
  readonly source?: { readonly machine: Machine; readonly cluster: Cluster };
}

/** A request that the machine of a unit answers. */
interface MachineRequest {
  readonly unit: UnitName;
  /** The last segment of the path. */
  readonly kind: "journal" | "status";
  /** Answers it on this machine. `unit` is the name in systemd, which of a Quadlet file is that of its service. */
  readonly answerHere: (
    machine: LocalMachine,
    unit: string,
    id: MachineId,
  ) => Response | StreamedResponse | Promise<Response | StreamedResponse>;
}

/** The routes of journals and statuses. */
export class JournalStatusRoutes {
  constructor(private readonly api: Api) {}

  /** GET `/units/{name}/journal`. */
  async journal(call: Call, unit: UnitName): Promise<Response> {
    const { query } = call;
    const output = query.get("output") ?? "short";
    if (!outputs.includes(output)) {
      return errorReply(400, `unknown output ${JSON.stringify(output)}: expect ${outputs.join(", ")}`);
    }
    const lines = query.get("lines") ?? "10";
    if (!/^\d{1,6}$/.test(lines) || Number(lines) > maxLines) {
      return errorReply(400, `invalid lines ${JSON.stringify(lines)}: expect a whole number up to ${maxLines}`);
    }
    const follow = parseSwitch(query.get("follow"));
    if (follow === undefined) return errorReply(400, "invalid follow: expect true or false");
    const selection = selectionOf(query);
    if ("refusal" in selection) return errorReply(400, selection.refusal);
    const answerHere = (machine: LocalMachine, unit: string): StreamedResponse => {
      const type = output === "json" ? "application/x-ndjson" : "text/plain; charset=utf-8";
      return {
        body: machine.journal({ unit, lines: Number(lines), follow, output, ...selection }),
        init: { headers: { "Content-Type": type, "Cache-Control": "no-store", [selectedHeader]: "true" } },
      };
    };
    return await this.#limited(call, { unit, kind: "journal", answerHere });
  }

  /** GET `/units/{name}/status`: text, or JSON for a client that prefers it. */
  async status(call: Call, unit: UnitName): Promise<Response> {
    const { request } = call;
    const answerHere = async (machine: LocalMachine, inSystemd: string, machineID: MachineId): Promise<Response> => {
      try {
        if (!prefers(request.headers.get("accept"), "application/json", "text/plain")) {
          return textReply(
            200,
            await inTime(this.api.clock, request, (signal) => machine.statusText(inSystemd, signal)),
          );
        }
        const properties = await inTime(
          this.api.clock,
          request,
          (signal) => machine.statusProperties(inSystemd, signal),
        );
        const entity: UnitStatusEntity = { machineID, name: unit, properties };
        return jsonReply(JSON.stringify(entity));
      } catch (error) {
        if (!(error instanceof NotInTimeError)) throw error;
        return errorReply(502, `systemctl on machine ${machineID} does not answer: ${error.message}`);
      }
    };
    return await this.#limited(call, { unit, kind: "status", answerHere });
  }

  /** Answers within the limit of requests in progress. A request counts until its response has been read to the end. */
  async #limited(call: Call, machineRequest: MachineRequest): Promise<Response> {
    // Counted before the first await, or any number of requests could pass the check at once.
    const release = this.api.sharedState.machineRequests.take();
    if (!release) return errorReply(429, `too many journals and statuses are being read (${maxMachineRequests})`);
    try {
      const response = await this.#answerOnMachine(call, machineRequest);
      if (!(response instanceof Response)) {
        return new Response(this.#bodyOf(response, call, release), response.init);
      }
      release();
      return response;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Answers here if the unit is on this machine, and otherwise forwards the request. */
  async #answerOnMachine(call: Call, machineRequest: MachineRequest): Promise<Response | StreamedResponse> {
    const { unit, answerHere } = machineRequest;
    const { localMachine } = this.api;
    if (!localMachine) return errorReply(501, "this server runs on no machine of the cluster");
    const cluster = await this.api.registry.read();
    if (!cluster.units.has(unit)) return errorReply(404, "unit does not exist");
    const here = localMachine.id();
    const id = call.query.get("machineID") || machineOf(cluster, unit, here);
    if (id === undefined) return errorReply(409, `unit ${JSON.stringify(unit)} is on no machine`);
    if (id === here) return await answerHere(localMachine, clusterNameInSystemd(cluster, unit, id), id);
    if (call.request.headers.has(forwardedHeader)) {
      return errorReply(421, `this is machine ${here ?? "of no cluster"}`);
    }
    const machine = cluster.machines.get(id);
    if (!machine) return errorReply(404, `machine ${JSON.stringify(id)} is not present`);
    return await this.#forward(localMachine, call, machineRequest, { machine, cluster });
  }

  async #forward(
    localMachine: LocalMachine,
    { request, query: ownQuery }: Call,
    { unit, kind }: MachineRequest,
    source: NonNullable<StreamedResponse["source"]>,
  ): Promise<Response | StreamedResponse> {
    const { machine } = source;
    const name = `machine ${machine.id}${machine.ip === "" ? "" : ` (${machine.ip})`}`;
    if (machine.apiAddress === undefined) {
      return errorReply(
        501,
        `${name} runs the unit, and its API is closed to other machines: send the request there, or set api_peer_*`,
      );
    }
    const query = new URLSearchParams(ownQuery);
    query.set("machineID", machine.id);
    // The unit's name is encoded again, since fetch would change the path at a `\`.
    const path = `${apiPrefixes[0]}/units/${encodeURIComponent(unit)}/${kind}?${query}`;
    const accept = request.headers.get("accept");
    const headers = { [forwardedHeader]: localMachine.id() ?? "", ...(accept === null ? {} : { accept }) };
    let response: Response;
    let refusal: string | undefined;
    try {
      response = await inTime(this.api.clock, request, async (signal) => {
        const received = await localMachine.fetchPeer(machine.apiAddress as string, path, headers, signal);
        if ([401, 403, 421].includes(received.status)) refusal = (await received.text()).slice(0, 1000);
        return received;
      });
    } catch (error) {
      return errorReply(502, `${name} does not answer at ${machine.apiAddress}: ${messageOf(error)}`);
    }
    if (refusal !== undefined) {
      return errorReply(502, `${name} refuses to answer at ${machine.apiAddress}: ${messageIn(refusal)}`);
    }
    const headersOf = (name: string) => {
      const value = response.headers.get(name);
      return value === null ? {} : { [name]: value };
    };
    const init = {
      status: response.status,
      headers: { ...headersOf("Content-Type"), ...headersOf(selectedHeader) },
    };
    return response.body ? { body: response.body, init, source } : new Response(null, init);
  }

  /**
   * Returns the bytes of a response, and calls `release` at their end. A journal that is followed ends when the client
   * or the server closes the connection, and when the machine that it comes from leaves. Any other response is sent to
   * its end, even after its client has closed its sending side, and fails when that machine leaves.
   */
  #bodyOf(
    { body, source }: StreamedResponse,
    { peer, query }: Call,
    release: () => void,
  ): ReadableStream<Uint8Array> {
    const follow = parseSwitch(query.get("follow"));
    const reader = body.getReader();
    const cleanups: (() => void)[] = [release];
    let failure: Error | undefined;
    const cleanUp = () => cleanups.splice(0).forEach((cleanup) => cleanup());
    const cancel = () => {
      cleanUp();
      void reader.cancel().catch((error) => this.api.log("debug", `a journal ended: ${messageOf(error)}`));
    };
    if (source) {
      cleanups.push(this.#onceGone(source, () => {
        if (!follow) failure = new Error(`machine ${source.machine.id} left the cluster before its response ended`);
        cancel();
      }));
    }
    if (follow) cleanups.push(onceAborted([peer.closing, this.api.retired], cancel));
    const ended = () => {
      cleanUp();
      if (failure) throw failure;
    };
    return pulledFrom(reader, ended, cancel);
  }

  /**
   * Calls `onGone` once a machine has left or rebooted since it was found: its half-open connection would never end by
   * itself. Returns a function that ends the watch.
   */
  #onceGone({ machine, cluster }: NonNullable<StreamedResponse["source"]>, onGone: () => void): () => void {
    const { sharedState, registry, clock, log } = this.api;
    const buffer = sharedState.events(registry, clock, log);
    const wake: Wake = (why) => {
      const { latest } = buffer;
      const isNewer = latest !== undefined && latest.revision >= cluster.revision;
      const isPresent = !isNewer || latest.machines.get(machine.id)?.incarnation === machine.incarnation;
      if (why !== "end" && isPresent) return;
      buffer.leave(wake);
      onGone();
    };
    buffer.join(wake);
    wake("batch");
    return () => buffer.leave(wake);
  }
}

/**
 * Returns the machine that a unit is placed on. A global unit is on this machine, or else on the first that reports it.
 */
function machineOf(cluster: Cluster, unit: UnitName, here: MachineId | undefined): MachineId | undefined {
  const target = cluster.targets.get(unit);
  if (target) return target.machine;
  const states = statesOf(cluster, unit);
  return (states.find((state) => state.machine === here) ?? states[0])?.machine;
}

function parseSwitch(text: string | null): boolean | undefined {
  if (text === null || text === "0" || text === "false") return false;
  return text === "" || text === "1" || text === "true" ? true : undefined;
}
