import assert from "node:assert/strict";

const program = `
import { ForwardedSockets } from ${JSON.stringify(new URL("./socket_forward.ts", import.meta.url).href)};
const sockets = new ForwardedSockets(() => Promise.reject(new Error("no connections here")));
console.log(await sockets.open("10.0.0.1", 2379));
if (Deno.args[0] === "close") sockets.close();
else if (Deno.args[0] === "exit") Deno.exit(0);
`;

/** Runs the program until it ends in the given way; `left` is true if the directory of the sockets still exists. */
async function end(how: string): Promise<{ readonly left: boolean; readonly by: string | number }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--config", new URL("../../deno.json", import.meta.url).pathname, "-", how],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(program));
  await stdin.close();
  let path = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    path += text;
    if (path.endsWith("\n") && how.startsWith("SIG")) child.kill(how as Deno.Signal);
  }
  const { code, signal } = await child.status;
  const directory = path.trim().replace(/\/[^/]*$/, "");
  assert.match(directory, /\/fleetctl-[^/]+$/);
  const left = await Deno.stat(directory).then(() => true, () => false);
  if (left) await Deno.remove(directory, { recursive: true });
  return { left, by: signal ?? code };
}

Deno.test("the sockets are removed in whatever way the program ends, and its exit status stays the same", async (test) => {
  for (const how of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    await test.step(how, async () => assert.deepEqual(await end(how), { left: false, by: how }));
  }
  for (const [how, by] of [["close", 0], ["exit", 0]] as const) {
    await test.step(how, async () => assert.deepEqual(await end(how), { left: false, by }));
  }
});
