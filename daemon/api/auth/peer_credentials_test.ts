import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { PeerCredentials } from "../context.ts";
import { openPeerCredentials } from "./peer_credentials.ts";

/** Listens on a unix socket while `use` connects to it; resolves with the credentials of that connection. */
async function peerOf(use: (path: string) => Promise<void>): Promise<PeerCredentials | undefined> {
  const directory = await Deno.makeTempDir({ prefix: "fleet-peer-" });
  const path = `${directory}/s`;
  using credentials = openPeerCredentials((_level, message, fields) => assert.fail(`${message}: ${fields?.error}`));
  const server = createServer();
  const known = new Promise<PeerCredentials | undefined>((resolve) => {
    server.on("connection", (socket: Socket) => {
      const first = credentials.of(socket);
      socket.end();
      socket.resume();
      socket.on("close", () => {
        // The descriptor is closed by now: the earlier result is remembered.
        assert.equal(credentials.of(socket), first);
        resolve(first);
      });
    });
  });
  try {
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await use(path);
    return await known;
  } finally {
    await new Promise((resolve) => server.close(resolve));
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the kernel names the process that connects", async () => {
  const known = await peerOf(async (path) => {
    const connection = await Deno.connect({ transport: "unix", path });
    for await (const _chunk of connection.readable) assert.fail("nothing is sent");
  });
  assert.deepEqual(known, { pid: Deno.pid, uid: Deno.uid(), gid: Deno.gid() });
});

Deno.test("another process has its own credentials", async () => {
  let pid = 0;
  const known = await peerOf(async (path) => {
    const args = ["--silent", "--max-time", "20", "--unix-socket", path, "http://localhost/"];
    const child = new Deno.Command("curl", { args, stdin: "null", stdout: "null" }).spawn();
    pid = child.pid;
    await child.status;
  });
  assert.deepEqual(known, { pid, uid: Deno.uid(), gid: Deno.gid() });
});

/** Asks about a socket without a descriptor, so that only the missing permission matters. */
const program = `
import { openPeerCredentials } from ${JSON.stringify(new URL("./peer_credentials.ts", import.meta.url).href)};
const credentials = openPeerCredentials((level, message, { error }) => console.log(level, message + ":", error));
console.log(credentials.of({}));
`;

Deno.test("without the permission, a warning is logged once and no process is known", async () => {
  const script = await Deno.makeTempFile({ prefix: "fleet-peer-", suffix: ".ts" });
  try {
    await Deno.writeTextFile(script, program);
    const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
    const args = ["run", "--quiet", "--no-prompt", `--config=${config}`, "--allow-read", script];
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    const text = new TextDecoder();
    assert.equal(text.decode(stderr), "");
    assert.match(
      text.decode(stdout),
      /^warn the log cannot name the processes that use the API over its unix socket: .*ffi access.*\nundefined\n$/,
    );
  } finally {
    await Deno.remove(script);
  }
});
