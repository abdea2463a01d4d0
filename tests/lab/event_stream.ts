/** A client that follows the event stream of one machine's daemon. */

import type { DecisionEvent } from "../../daemon/api/v1/types.ts";
import { apiSocket } from "./fleet.ts";
import type { Machine } from "./machine.ts";
import { until } from "./process.ts";

/** An open event stream. It is read until it is disposed of. */
export class EventStream implements AsyncDisposable {
  /** The machine of each unit, according to the latest decision events. */
  readonly placed = new Map<string, string>();
  #isSynced = false;
  #end: string | undefined;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;

  private constructor(readonly machine: Machine) {
    this.#ended = this.#follow();
  }

  /** Opens a stream and waits until it is synced. */
  static async open(machine: Machine): Promise<EventStream> {
    const stream = new EventStream(machine);
    await stream.#until("the current state", () => stream.#isSynced);
    return stream;
  }

  /** Waits until the decision events place each unit on the machine that `where` gives for it. */
  async reports(where: ReadonlyMap<string, string>, deadline_ms: number): Promise<void> {
    const isReported = () => [...where].every(([unit, id]) => this.placed.get(unit) === id);
    await this.#until("the decisions", isReported, deadline_ms);
  }

  async #until(what: string, test: () => boolean, deadline_ms = 20_000): Promise<void> {
    const title = `the event stream of ${this.machine.name} to report ${what}`;
    const result = await until(title, () => {
      return Promise.resolve(test() ? "reported" : this.#end);
    }, { deadline_ms });
    if (result !== "reported") throw new Error(`waited for ${title}, but the stream ended: ${result}`);
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: apiSocket(this.machine) } });
    try {
      const response = await fetch("http://localhost/fleet/v1/events", { client, signal });
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
      let rest = "";
      for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + text).split("\n\n");
        rest = blocks.pop()!;
        for (const block of blocks) this.#take(block);
      }
      this.#end = "the daemon closed it";
    } catch (error) {
      this.#end = String(error);
    }
  }

  #take(block: string): void {
    const [, event, data = ""] = /^event: (\w+)\ndata: (.*)$/m.exec(block) ?? [];
    if (event === "synced") this.#isSynced = true;
    if (event !== "decision") return;
    const { name, machineID } = JSON.parse(data) as DecisionEvent;
    if (machineID !== undefined) this.placed.set(name, machineID);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#ended;
  }
}
