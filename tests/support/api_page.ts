/**
 * The cluster page in front of the API over a registry in memory: no machine and no agent, so that a test decides what the
 * cluster does.
 *
 * @module
 */

import type { Peer } from "../../daemon/api/handler.ts";
import { ApiFixture } from "./api_fixture.ts";

/** A server with the page and the API. */
export class ApiPage implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #end = new AbortController();
  #peer: Peer = {};

  private constructor(readonly api: ApiFixture) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
  }

  /** Serves the built page in `folder`. */
  static async open(folder: string): Promise<ApiPage> {
    const pageFile = (name: string) => Deno.readTextFile(`${folder}/${name}`);
    return new ApiPage(await ApiFixture.open({ pageFile }));
  }

  /** The address of the page. */
  get address(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/ui/`;
  }

  /** Gives every client a role from now on. */
  setRole(role: "read" | "write"): void {
    this.#peer = { role };
  }

  /** Ends every event stream, as a restart of the daemon does. Clients may open new ones. */
  endStreams(): void {
    this.#end.abort();
    this.#end = new AbortController();
  }

  #answer(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    return this.api.handler(request, { ...this.#peer, target: pathname + search, closing: this.#end.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#server.shutdown();
    await this.api[Symbol.asyncDispose]();
  }
}
