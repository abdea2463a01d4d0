/**
 * A client of the event stream, for tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ApiFixture } from "./api_fixture.ts";

export const path = "/fleet/v1/events";
const deadline_ms = 20_000;

/** A client of the event stream. */
export class Client implements AsyncDisposable {
  readonly #closing = new AbortController();
  #reader!: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  headers!: Headers;
  /** The id that a browser would send as Last-Event-ID. */
  id = "";
  /** True if {@link event} keeps the times of events. */
  keepsTimes = false;

  static async open(api: ApiFixture, query = "", headers: Record<string, string> = {}): Promise<Client> {
    const client = new Client();
    const request = new Request("http://localhost/", { headers });
    const answer = await api.handler(request, { target: path + query, closing: client.#closing.signal });
    assert.equal(answer.status, 200);
    assert.ok(answer.body);
    client.headers = answer.headers;
    client.#reader = answer.body.getReader();
    return client;
  }

  /** The next block, without the blank line that ends it; undefined at the end. */
  async block(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        return block;
      }
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error("no event in time")), deadline_ms);
      try {
        const { done, value } = await Promise.race([this.#reader.read(), late.promise]);
        if (done) return undefined;
        this.#rest += this.#decoder.decode(value, { stream: true });
      } finally {
        clearTimeout(timer);
      }
    }
  }

  /** The next event as `event data`, without comments; undefined at the end. */
  async event(): Promise<string | undefined> {
    for (;;) {
      const block = await this.block();
      if (block === undefined) return undefined;
      const match = /^(?:id: ([\w-]+)\n)?event: (\w+)\ndata: (.*)$/.exec(block);
      if (match) {
        this.id = match[1] ?? this.id;
        // Reports of waiting units come some time after their cause; they have tests of their own, as have times.
        if (match[3]!.includes('"waiting":true')) continue;
        return `${match[2]} ${this.keepsTimes ? match[3] : match[3]!.replace(/,"time":\d+\}$/, "}")}`;
      }
      assert.equal(block, ":");
    }
  }

  /** The events up to and including `synced`, whose revision is left out, and which names `leader` if one is given. */
  async present(leader = ""): Promise<string[]> {
    const events: string[] = [];
    for (;;) {
      const event = await this.event();
      assert.ok(event !== undefined);
      if (!event.startsWith("synced")) events.push(event);
      else {
        const [, named = ""] = /^synced \{"revision":\d+(?:,"leader":"(\w+)")?\}$/.exec(event)!;
        if (leader !== "") assert.equal(named, leader);
        return [...events, "synced"];
      }
    }
  }

  /** The server closes. */
  close(): void {
    this.#closing.abort();
  }

  /** The client cancels. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

export const state = (
  name: string,
  machine: string,
  extra: { error?: string; result?: string; active?: string } = {},
) =>
  `state {${extra.error ? `"error":"${extra.error}",` : ""}"machineID":"${machine}","name":"${name}","restart":0,` +
  `${extra.result ? `"result":"${extra.result}",` : ""}"since":1000,` +
  `"state":{"hash":"0123456789012345678901234567890123456789","machineID":"${machine}","name":"${name}",` +
  `"systemdActiveState":"${extra.active ?? "active"}","systemdLoadState":"loaded","systemdSubState":"running"}}`;

/** A unit event without `hash` and `restart`, which tests look at where they matter. */
export const withoutHash = (event: string | undefined) =>
  event?.replace(/"hash":"[0-9a-f]{40}","name":("[^"]+"),"restart":0,"unit"/, '"name":$1,"unit"');
