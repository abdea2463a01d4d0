/** Long-lived connections: resumed sessions, expired certificates, replaced credentials, lost clients. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial } from "node:net";
import { connect as dialTls } from "node:tls";
import type { Credentials } from "../../daemon/api/auth/credentials.ts";
import { ApiFixture } from "../support/api_fixture.ts";
import { type Authority, makeAuthority } from "./authority.ts";
import { must } from "../lab/process.ts";
import { ask, connect, network, readUntil, ServerFixture, write, written } from "./server_fixture.ts";

const request = { path: "/fleet/v1/units" };

interface Setting {
  readonly api: ApiFixture;
  readonly servers: ServerFixture;
  readonly authority: Authority;
  /** Returns the credentials of a server that trusts an authority. */
  readonly trusting: (ca: string) => Credentials;
}

async function withSetting(work: (setting: Setting) => Promise<void>): Promise<void> {
  const authority = await makeAuthority();
  try {
    await using api = await ApiFixture.open();
    await using servers = new ServerFixture();
    const trusting = (clientCa: string): Credentials => ({
      policy: { clientCertificates: true },
      tls: { ...authority.server, clientCa },
    });
    await work({ api, servers, authority, trusting });
  } finally {
    await Deno.remove(authority.directory, { recursive: true });
  }
}

/** Sends a request by openssl, which saves its session (`-sess_out`) or resumes a saved one (`-sess_in`). */
async function openssl(
  { authority, servers }: Setting,
  address: string,
  who: string,
  version: string,
  session: "new" | "resumed",
): Promise<{ readonly code: number; readonly resumed: boolean }> {
  const kept = `${servers.directory}/${who}.${version}.session`;
  const child = new Deno.Command("openssl", {
    args: [
      ...["s_client", "-ign_eof", `-${version}`, "-connect", `127.0.0.1:${address.split(":").at(-1)}`],
      ...["-cert", `${authority.directory}/${who}.crt`, "-key", `${authority.directory}/${who}.key`],
      ...[session === "new" ? "-sess_out" : "-sess_in", kept],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(written(request)));
  const { stdout } = await child.output();
  await stdin.close().catch(() => {});
  const output = new TextDecoder().decode(stdout);
  return { code: Number(/HTTP\/1\.1 (\d+)/.exec(output)?.[1]), resumed: /^(?:Reused|\s*Reused), TLS/m.test(output) };
}

Deno.test("a resumed session proves no more than the session before", async (test) => {
  await withSetting(async (setting) => {
    const { api, servers, authority, trusting } = setting;
    const server = await servers.serve(api.handler, network, trusting(authority.ca));
    const ask = (who: string, version: string, session: "new" | "resumed") =>
      openssl(setting, server.addresses[0]!, who, version, session);
    for (const version of ["tls1_2", "tls1_3"]) {
      const cases: readonly (readonly [who: string, code: number])[] = [
        ["trusted", 200],
        ["foreign", 403],
        ["expired", 403],
        ["misspelt", 403],
        ["serving", 403],
      ];
      for (const [who, code] of cases) {
        await test.step(`${version}: ${who}`, async () => {
          assert.deepEqual(await ask(who, version, "new"), { code, resumed: false });
          assert.deepEqual(await ask(who, version, "resumed"), { code, resumed: true });
        });
      }
    }
    await test.step("after the authority is replaced", async () => {
      await ask("trusted", "tls1_3", "new");
      server.use(trusting(await Deno.readTextFile(`${authority.directory}/theirs.crt`)));
      assert.equal((await ask("trusted", "tls1_3", "resumed")).code, 403);
      assert.equal((await ask("trusted", "tls1_3", "new")).code, 403);
      assert.equal((await ask("foreign", "tls1_3", "new")).code, 200);
    });
  });
});

Deno.test("replacing the authority ends connections of its clients", async () => {
  await withSetting(async ({ api, servers, authority, trusting }) => {
    const server = await servers.serve(api.handler, network, trusting(authority.ca));
    const trusted = { ca: authority.ca, shows: authority.trusted };
    using idle = await connect(server.addresses[0]!, trusted);
    using stream = await connect(server.addresses[0]!, trusted);
    await write(idle, "GET /fleet/v1/units HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await readUntil(idle, (text) => text.endsWith("{}"));
    await write(stream, "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await readUntil(stream, (text) => text.includes("synced"));
    server.use(trusting(await Deno.readTextFile(`${authority.directory}/theirs.crt`)));
    assert.equal(await readUntil(idle, () => false), "");
    assert.match(await readUntil(stream, () => false), /^0\r\n\r\n$/, "the stream ends with its last chunk");
  });
});

Deno.test("replacing the authority drops connections in the middle of their handshake", async () => {
  await withSetting(async ({ api, servers, authority, trusting }) => {
    const server = await servers.serve(api.handler, network, trusting(authority.ca));
    const socket = dial(Number(server.addresses[0]!.split(":").at(-1)), "127.0.0.1");
    await once(socket, "connect");
    // Connections are accepted in order: after this one, the first has been accepted.
    const { code } = await ask(server.addresses[0]!, request, { ca: authority.ca, shows: authority.trusted });
    assert.equal(code, 200);
    server.use(trusting(await Deno.readTextFile(`${authority.directory}/theirs.crt`)));
    const client = dialTls({ socket, ca: authority.ca, ...authority.trusted, host: "127.0.0.1" });
    client.on("error", () => {});
    client.write(written(request));
    let received = "";
    client.on("data", (data: Uint8Array) => received += new TextDecoder().decode(data));
    await once(client, "close");
    assert.equal(received, "");
  });
});

Deno.test("a client that does not finish its TLS handshake is disconnected", async () => {
  await withSetting(async ({ api, servers, authority, trusting }) => {
    const server = await servers.serve(api.handler, network, trusting(authority.ca), { handshake_ms: 100 });
    using connection = await connect(server.addresses[0]!);
    assert.equal(await readUntil(connection, () => false), "");
  });
});

Deno.test("an authority added by a reload is required from then on", async () => {
  await withSetting(async ({ api, servers, authority, trusting }) => {
    const before: Credentials = { policy: { insecure: true }, tls: authority.server };
    const server = await servers.serve(api.handler, network, before);
    const code = async (shows: Authority["trusted"]) =>
      (await ask(server.addresses[0]!, request, { ca: authority.ca, shows })).code;
    assert.equal(await code(authority.trusted), 200);
    server.use(trusting(authority.ca));
    assert.deepEqual([await code(authority.trusted), await code(authority.foreign)], [200, 403]);
  });
});

Deno.test("the kernel probes whether a client is still connected", async () => {
  await withSetting(async ({ api, servers, authority, trusting }) => {
    const plain = await servers.serve(api.handler, network, { policy: { insecure: true } });
    const encrypted = await servers.serve(api.handler, network, trusting(authority.ca));
    const addresses = [plain, encrypted].map((server) => server.addresses[0]!);
    for (const [index, tls] of [undefined, { ca: authority.ca, shows: authority.trusted }].entries()) {
      using connection = await connect(addresses[index]!, tls);
      await write(connection, "GET /fleet/v1/units HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await readUntil(connection, (text) => text.endsWith("{}"));
      const filter = ["state", "established", "sport", "=", `:${addresses[index]!.split(":").at(-1)}`];
      const sockets = await must(["ss", "--tcp", "--numeric", "--options", "--no-header", ...filter]);
      assert.match(sockets, /timer:\(keepalive,/);
    }
  });
});

Deno.test("event streams on the network end when credentials are reloaded, so that clients are authorized again", async () => {
  await withSetting(async ({ api, servers, authority, trusting }) => {
    const server = await servers.serve(api.handler, network, trusting(authority.ca));
    using connection = await connect(server.addresses[0]!, { ca: authority.ca, shows: authority.trusted });
    for (let turn = 0; turn < 2; turn++) {
      await write(connection, "GET /fleet/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await readUntil(connection, (text) => text.includes("synced"));
      server.use(trusting(authority.ca));
      await readUntil(connection, (text) => text.endsWith("0\r\n\r\n"));
    }
  });
});
