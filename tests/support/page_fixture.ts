/**
 * A server with the cluster page and an API of a made-up cluster of any size, for tests and benchmarks of the page.
 *
 * @module
 */

import type { MachineEvent, StateEvent, UnitEvent, UsageEntity } from "../../daemon/api/v1/types.ts";

/** The events of an hour in a busy cluster: thirty a second. */
export const eventsOfAnHour = 108_000;

/** The size of a made-up cluster. */
export interface FixtureSize {
  readonly machines: number;
  readonly units: number;
}

const machineId = (number: number) => number.toString(16).padStart(32, "0");
const unitName = (number: number) => `unit-${number.toString().padStart(5, "0")}.service`;

/** Serves the page in `folder`, and events of a cluster whose units run on its machines in turn. */
export class PageFixture implements AsyncDisposable {
  readonly #streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(private readonly folder: string, private readonly size: FixtureSize) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
  }

  /** The address of the page. */
  get address(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/ui/`;
  }

  /** Sends `count` changes of states to every open page: units fail and run again in turn. */
  change(count: number, from = 0): void {
    const text = Array.from({ length: count }, (_, index) => {
      const number = (from + index) % this.size.units;
      return event("state", this.#state(number, (from + index) % 2 === 0 ? "failed" : "active"));
    }).join("");
    for (const stream of this.#streams) stream.enqueue(new TextEncoder().encode(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.close();
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/fleet/v1/access") return Response.json({ role: "write" });
    if (pathname === "/fleet/v1/events") return searchParams.get("follow") === "false" ? this.#past() : this.#events();
    if (pathname === "/fleet/v1/usage") return Response.json(this.#usage());
    const [, name] = /^\/ui\/([a-z.]*)$/.exec(pathname) ?? [];
    if (name === undefined) {
      return Response.json({ error: { code: 404, message: "not part of this fixture" } }, { status: 404 });
    }
    const types: Readonly<Record<string, string>> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
    const text = await Deno.readTextFile(`${this.folder}/${name || "index.html"}`);
    return new Response(text, { headers: { "content-type": types[name.replace(/.*\./, "")] ?? "text/html" } });
  }

  /** Returns a few events of the past. */
  #past(): Response {
    const events = Array.from({ length: 10 }, (_, number) => {
      return event("state", { ...this.#state(number, "failed"), time: Date.now() - 60_000 + number });
    });
    const text = [...events, event("synced", { revision: 1 })].join("");
    return new Response(text, { headers: { "content-type": "text/event-stream" } });
  }

  #usage(): UsageEntity {
    const [now_ms, gigabyte] = [Math.round(performance.now()), 2 ** 30];
    return {
      machines: Array.from({ length: this.size.machines }, (_, number) => ({
        machineID: machineId(number),
        at: now_ms,
        cpuMicroseconds: now_ms * 1_000 * (number % 4),
        cores: 4,
        memoryBytes: (1 + number % 7) * gigabyte,
        memoryTotalBytes: 8 * gigabyte,
      })),
    };
  }

  #events(): Response {
    const { machines, units } = this.size;
    const present = [
      ...Array.from({ length: machines }, (_, number) => {
        const id = machineId(number);
        const data: MachineEvent = { id, machine: { id, primaryIP: `10.0.${number >> 8}.${number & 255}` } };
        return event("machine", data);
      }),
      ...Array.from({ length: units }, (_, number) => {
        const name = unitName(number);
        const unit = {
          name,
          desiredState: "launched",
          currentState: "launched",
          machineID: machineId(number % machines),
        };
        const data: UnitEvent = { name, unit, hash: "0".repeat(40), restart: 0 };
        return event("unit", data) + event("state", this.#state(number, "active"));
      }),
      event("synced", { revision: 1 }),
    ].join("");
    let own: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        controller.enqueue(new TextEncoder().encode(present));
        this.#streams.add(controller);
      },
      cancel: () => void this.#streams.delete(own!),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  #state(number: number, active: string): StateEvent {
    const [name, machineID] = [unitName(number), machineId(number % this.size.machines)];
    const state = { name, machineID, systemdActiveState: active, systemdSubState: active, systemdLoadState: "loaded" };
    return { name, machineID, state, ...active === "failed" && { error: "exit-code", result: "exit-code" } };
  }
}

function event(kind: string, data: unknown): string {
  return `event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
}
