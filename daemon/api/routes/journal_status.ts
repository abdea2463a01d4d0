/**
 * `/units/{name}/journal` and `/units/{name}/status`: what the machine that runs a unit says of it. The daemon that is
 * asked passes the question on to that machine's, so that nobody needs SSH.
 *
 * @module
 */

import { messageOf } from "../../../runtime/log.ts";
import type { Cluster, Machine, MachineId, UnitName } from "../../../registry/model.ts";
import { prefers } from "../http/content_negotiation.ts";
import type { Api, Call } from "../context.ts";
import { maxQuestions } from "../shared_state.ts";
import { statesOf } from "../v1/entities.ts";
import { type Host, outputs } from "../machine/port.ts";
import type { Wake } from "../events/event_buffer.ts";
import { onceAborted } from "../../../runtime/on_abort.ts";
import { pulledFrom } from "../http/pull.ts";
import { errorReply, jsonReply, textReply } from "../http/responses.ts";
import { apiPrefixes, type UnitStatusEntity } from "../v1/types.ts";

const maxLines = 100_000;

/** How long systemctl may take, and another daemon to begin its answer. */
export const answer_ms = 10_000;

/** Tells the daemon that is asked that it must answer itself. */
const passedOn = "Fleet-Passed-On";

/** An answer that comes by and by. */
interface Flow {
  readonly body: ReadableStream<Uint8Array>;
  readonly init: ResponseInit;
  /** The machine that it comes from, if that is another, and the view in which it was found. */
  readonly from?: { readonly machine: Machine; readonly cluster: Cluster };
}

/** What is asked of the machine that has a unit. */
interface Question {
  readonly unit: UnitName;
  /** The last segment of the path. */
  readonly what: "journal" | "status";
  /** Answers it on this machine. */
  readonly answer: (host: Host, machine: MachineId) => Response | Flow | Promise<Response | Flow>;
}

/** Reads journals and states on this machine and others. */
export class HostRoutes {
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
    const follow = readSwitch(query.get("follow"));
    if (follow === undefined) return errorReply(400, "invalid follow: expect true or false");
    const answer = (host: Host): Flow => {
      const type = output === "json" ? "application/x-ndjson" : "text/plain; charset=utf-8";
      return {
        body: host.journal({ unit, lines: Number(lines), follow, output }),
        init: { headers: { "Content-Type": type, "Cache-Control": "no-store" } },
      };
    };
    return await this.#placed(call, { unit, what: "journal", answer });
  }

  /** GET `/units/{name}/status`: text, or JSON for whoever would rather have that. */
  async status(call: Call, unit: UnitName): Promise<Response> {
    const { request } = call;
    const answer = async (host: Host, machineID: MachineId): Promise<Response> => {
      try {
        if (!prefers(request.headers.get("accept"), "application/json", "text/plain")) {
          return textReply(200, await this.#inTime(request, (signal) => host.statusText(unit, signal)));
        }
        const properties = await this.#inTime(request, (signal) => host.statusProperties(unit, signal));
        const entity: UnitStatusEntity = { machineID, name: unit, properties };
        return jsonReply(JSON.stringify(entity));
      } catch (error) {
        if (!(error instanceof NotInTimeError)) throw error;
        return errorReply(502, `systemctl on machine ${machineID} does not answer: ${error.message}`);
      }
    };
    return await this.#placed(call, { unit, what: "status", answer });
  }

  /** Answers as long as there is a place, which is kept until the answer is whole. */
  async #placed(call: Call, question: Question): Promise<Response> {
    // Taken before anything is waited for, or any number would come in meanwhile.
    const release = this.api.sharedState.questions.take();
    if (!release) return errorReply(429, `too many journals and states are being read (${maxQuestions})`);
    try {
      const given = await this.#onMachine(call, question);
      if (!(given instanceof Response)) {
        return new Response(this.#held(given, call, release), given.init);
      }
      release();
      return given;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Answers here if the unit is here, else lets its machine answer. */
  async #onMachine(call: Call, question: Question): Promise<Response | Flow> {
    const { unit, answer } = question;
    const { host } = this.api;
    if (!host) return errorReply(501, "this server runs on no machine of the cluster");
    const cluster = await this.api.registry.read();
    if (!cluster.units.has(unit)) return errorReply(404, "unit does not exist");
    const here = host.machine();
    const id = call.query.get("machineID") || machineOf(cluster, unit, here);
    if (id === undefined) return errorReply(409, `unit ${JSON.stringify(unit)} is on no machine`);
    if (id === here) return await answer(host, id);
    if (call.request.headers.has(passedOn)) return errorReply(421, `this is machine ${here ?? "of no cluster"}`);
    const machine = cluster.machines.get(id);
    if (!machine) return errorReply(404, `machine ${JSON.stringify(id)} is not present`);
    return await this.#passOn(host, call, question, { machine, cluster });
  }

  async #passOn(
    host: Host,
    { request, query: asked }: Call,
    { unit, what }: Question,
    from: NonNullable<Flow["from"]>,
  ): Promise<Response | Flow> {
    const { machine } = from;
    const name = `machine ${machine.id}${machine.ip === "" ? "" : ` (${machine.ip})`}`;
    if (machine.apiAddress === undefined) {
      return errorReply(
        501,
        `${name} runs the unit, and its API is not open to other machines: ask there, or see api_peer_*`,
      );
    }
    const query = new URLSearchParams(asked);
    query.set("machineID", machine.id);
    // Not as it was sent: fetch would make another path of a raw `\`.
    const path = `${apiPrefixes[0]}/units/${encodeURIComponent(unit)}/${what}?${query}`;
    const accept = request.headers.get("accept");
    const headers = { [passedOn]: host.machine() ?? "", ...(accept === null ? {} : { accept }) };
    let answer: Response;
    let refusal: string | undefined;
    try {
      answer = await this.#inTime(request, async (signal) => {
        const given = await host.ask(machine.apiAddress as string, path, headers, signal);
        if ([401, 403, 421].includes(given.status)) refusal = (await given.text()).slice(0, 1000);
        return given;
      });
    } catch (error) {
      return errorReply(502, `${name} does not answer at ${machine.apiAddress}: ${messageOf(error)}`);
    }
    if (refusal !== undefined) {
      return errorReply(502, `${name} refuses to answer at ${machine.apiAddress}: ${messageIn(refusal)}`);
    }
    const type = answer.headers.get("content-type");
    const init = { status: answer.status, headers: type === null ? {} : { "Content-Type": type } };
    return answer.body ? { body: answer.body, init, from } : new Response(null, init);
  }

  /** What a task comes to. Its signal aborts when that takes too long, and when whoever asked has left. */
  async #inTime<T>(request: Request, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const done = new AbortController();
    void this.api.clock.sleep(answer_ms, done.signal).then(() => {
      if (!done.signal.aborted) over.abort(new NotInTimeError(`no answer within ${answer_ms / 1000} seconds`));
    });
    const callOff = onceAborted([request.signal], () => over.abort(new NotInTimeError("nobody waits for it any more")));
    try {
      return await task(over.signal);
    } finally {
      callOff();
      done.abort();
    }
  }

  /**
   * The same bytes, which keep their place until they have come to an end. An answer without an end ends when its client
   * leaves, when the server closes, and when the machine that it comes from has gone; one that has an end is sent to it,
   * whoever listens, and breaks off without that machine.
   */
  #held({ body, from }: Flow, { peer, query }: Call, release: () => void): ReadableStream<Uint8Array> {
    const follow = readSwitch(query.get("follow"));
    const reader = body.getReader();
    const callOffs: (() => void)[] = [];
    let failure: Error | undefined;
    const end = () => {
      callOffs.forEach((callOff) => callOff());
      release();
    };
    const cancel = () => {
      end();
      void reader.cancel().catch((error) => this.api.log("debug", `a journal ended: ${messageOf(error)}`));
    };
    if (from) {
      callOffs.push(this.#onceGone(from, () => {
        if (!follow) failure = new Error(`machine ${from.machine.id} has gone while it answered`);
        cancel();
      }));
    }
    if (follow) callOffs.push(onceAborted([peer.closing, this.api.retired], cancel));
    const ended = () => {
      end();
      if (failure) throw failure;
    };
    return pulledFrom(reader, ended, cancel);
  }

  /**
   * Calls `tell` once a machine has gone or has booted anew since it was found: what only receives from it would never
   * know. Returns what calls it off.
   */
  #onceGone({ machine, cluster }: NonNullable<Flow["from"]>, tell: () => void): () => void {
    const { sharedState, registry, clock, log } = this.api;
    const buffer = sharedState.events(registry, clock, log);
    const wake: Wake = (why) => {
      const { latest } = buffer;
      const isNews = latest !== undefined && latest.revision >= cluster.revision;
      const isThere = !isNews || latest.machines.get(machine.id)?.incarnation === machine.incarnation;
      if (why !== "end" && isThere) return;
      buffer.leave(wake);
      tell();
    };
    buffer.join(wake);
    wake("batch");
    return () => buffer.leave(wake);
  }
}

/** Whoever was asked took too long, or whoever asked has not waited. */
class NotInTimeError extends Error {
  override name = "NotInTimeError";
}

/** Where a unit is: on the machine it is placed on; a global one here if it is here, else where it is first. */
function machineOf(cluster: Cluster, unit: UnitName, here: MachineId | undefined): MachineId | undefined {
  const target = cluster.targets.get(unit);
  if (target) return target.machine;
  const states = statesOf(cluster, unit);
  return (states.find((state) => state.machine === here) ?? states[0])?.machine;
}

function readSwitch(text: string | null): boolean | undefined {
  if (text === null || text === "0" || text === "false") return false;
  return text === "" || text === "1" || text === "true" ? true : undefined;
}

/** The message of an error entity, if it is one. */
function messageIn(body: string): string {
  try {
    return String((JSON.parse(body) as { error: { message: string } }).error.message);
  } catch {
    return body.trim() || "it does not say why";
  }
}
