/**
 * `/units/{name}/journal` and `/units/{name}/status`: what the machine that runs a unit says of it. The daemon that is
 * asked passes the question on to that machine's, so that nobody needs SSH.
 *
 * @module
 */

import { messageOf } from "../../registry/log.ts";
import type { Cluster, Machine, MachineId, UnitName } from "../../registry/model.ts";
import type { Api, Call } from "./context.ts";
import { statesOf } from "./entities.ts";
import { type Host, outputs } from "./host.ts";
import { errorReply, jsonReply } from "./replies.ts";
import type { UnitStatusEntity } from "./v1.ts";

const maxLines = 100_000;

/** How long another daemon may take to begin its answer. */
const ask_ms = 10_000;

/** Journals read at once, each by a process of its own or over a connection. */
const maxJournals = 64;

/** Tells the daemon that is asked that it must answer itself. */
const passedOn = "Fleet-Passed-On";

/** Reads journals and states on this machine and others. */
export class HostRoutes {
  #journals = 0;

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
    if (this.#journals >= maxJournals) return errorReply(429, `too many journals are being read (${maxJournals})`);
    return await this.#onMachine(call, unit, (host) => {
      const body = this.#counted(host.journal({ unit, lines: Number(lines), follow, output }), endOf(call));
      const type = output === "json" ? "application/x-ndjson" : "text/plain; charset=utf-8";
      return new Response(body, { headers: { "Content-Type": type, "Cache-Control": "no-store" } });
    });
  }

  /** GET `/units/{name}/status`: text, or JSON for whoever accepts only that. */
  async status(call: Call, unit: UnitName): Promise<Response> {
    return await this.#onMachine(call, unit, async (host, machineID) => {
      if (!/^application\/json\b/.test(call.request.headers.get("accept") ?? "")) {
        return new Response(await host.statusText(unit), { headers: { "Content-Type": "text/plain; charset=utf-8" } });
      }
      const entity: UnitStatusEntity = { machineID, name: unit, properties: await host.statusProperties(unit) };
      return jsonReply(JSON.stringify(entity));
    });
  }

  /** Answers here if the unit is here, else lets its machine answer. */
  async #onMachine(
    call: Call,
    unit: UnitName,
    answer: (host: Host, machine: MachineId) => Response | Promise<Response>,
  ): Promise<Response> {
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
    return await this.#passOn(host, call, machine);
  }

  async #passOn(host: Host, call: Call, machine: Machine): Promise<Response> {
    const { request, peer } = call;
    const name = `machine ${machine.id}${machine.ip === "" ? "" : ` (${machine.ip})`}`;
    if (machine.apiAddress === undefined) {
      return errorReply(
        501,
        `${name} runs the unit, and its API is not open to other machines: ask there, or see api_peer_*`,
      );
    }
    const target = (peer.target ?? new URL(request.url).pathname).replace(/^https?:\/\/[^/?]*/i, "");
    const path = `${target}${target.includes("?") ? "&" : "?"}machineID=${encodeURIComponent(machine.id)}`;
    const accept = request.headers.get("accept");
    const headers = { [passedOn]: host.machine() ?? "", ...(accept === null ? {} : { accept }) };
    let answer: Response;
    try {
      answer = await this.#inTime((signal) => host.ask(machine.apiAddress as string, path, headers, signal));
    } catch (error) {
      return errorReply(502, `${name} does not answer at ${machine.apiAddress}: ${messageOf(error)}`);
    }
    if ([401, 403, 421].includes(answer.status)) {
      const said = (await answer.text()).slice(0, 1000);
      return errorReply(502, `${name} refuses to answer at ${machine.apiAddress}: ${messageIn(said)}`);
    }
    const type = answer.headers.get("content-type");
    return new Response(answer.body && this.#counted(answer.body, endOf(call)), {
      status: answer.status,
      headers: type === null ? {} : { "Content-Type": type },
    });
  }

  async #inTime<T>(task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController();
    const done = new AbortController();
    void this.api.clock.sleep(ask_ms, done.signal).then(() => {
      if (!done.signal.aborted) late.abort(new Error(`no answer within ${ask_ms / 1000} seconds`));
    });
    try {
      return await task(late.signal);
    } finally {
      done.abort();
    }
  }

  /** The same bytes; ends when `closing` aborts, and is counted until it does. */
  #counted(stream: ReadableStream<Uint8Array>, closing: AbortSignal | undefined): ReadableStream<Uint8Array> {
    const reader = stream.getReader();
    this.#journals++;
    let isOpen = true;
    const end = () => {
      closing?.removeEventListener("abort", cancel);
      if (isOpen) this.#journals--;
      isOpen = false;
    };
    const cancel = () => {
      end();
      void reader.cancel().catch((error) => this.api.log("debug", `a journal ended: ${messageOf(error)}`));
    };
    closing?.addEventListener("abort", cancel);
    if (closing?.aborted) cancel();
    return new ReadableStream({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          end();
          controller.close();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel,
    }, { highWaterMark: 0 });
  }
}

/** Where a unit is: on the machine it is placed on; a global one here if it is here, else where it is first. */
function machineOf(cluster: Cluster, unit: UnitName, here: MachineId | undefined): MachineId | undefined {
  const target = cluster.targets.get(unit);
  if (target) return target.machine;
  const states = statesOf(cluster, unit);
  return (states.find((state) => state.machine === here) ?? states[0])?.machine;
}

/** What ends an answer before it is whole: one that has an end of its own is sent to its end, whoever listens. */
function endOf({ peer, query }: Call): AbortSignal | undefined {
  return readSwitch(query.get("follow")) ? peer.closing : undefined;
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
