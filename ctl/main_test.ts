import assert from "node:assert/strict";
import { FakeApi } from "./testing/fake_api.ts";
import { version } from "../runtime/version.ts";

const main = new URL("./main.ts", import.meta.url).pathname;

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program itself. */
async function run(args: string[], input = "", env: Record<string, string> = {}): Promise<Ran> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, ...args],
    ...{ stdin: "piped", stdout: "piped", stderr: "piped", env: { NO_COLOR: "1", ...env } } as const,
  });
  const process = command.spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await process.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { status: code, stdout: text(stdout), stderr: text(stderr) };
}

async function withSocket(handler: (request: Request) => Promise<Response>, use: (path: string) => Promise<void>) {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/fleet.sock`;
  const server = Deno.serve({ path, onListen: () => {} }, handler);
  try {
    await use(path);
  } finally {
    await server.shutdown();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the program prints its version and ends well", async () => {
  assert.deepEqual(await run(["--version"]), { status: 0, stdout: `fleetctl version ${version}\n`, stderr: "" });
});

Deno.test("the program starts a unit from a file, over a socket named by the environment", async () => {
  const api = new FakeApi();
  await withSocket((request) => api.handle(request), async (path) => {
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/a.service`, "[Service]\nExecStart=/bin/true\n");
      const ran = await run(["start", `${directory}/a.service`], "", { FLEETCTL_ENDPOINT: `unix://${path}` });
      const stdout = "Unit a.service inactive\nUnit a.service launched on 454c34ef.../10.77.0.11\n";
      assert.deepEqual(ran, { status: 0, stdout, stderr: "" });
      assert.equal(api.units.get("a.service")?.desiredState, "launched");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
});

const refusals: { name: string; args: string[]; status: number; stderr: RegExp }[] = [
  { name: "wrong usage exits with 2", args: ["nosuch"], status: 2, stderr: /^Error: unknown command "nosuch"/ },
  {
    name: "a failure exits with 1",
    args: ["--endpoint", "unix:///nonexistent", "list-units"],
    status: 1,
    stderr: /^Error retrieving the list of units: cannot reach the fleet API at unix:\/\/\/nonexistent: /,
  },
  {
    name: "an unknown driver",
    args: ["--driver=x", "list-units"],
    status: 1,
    stderr: /^Unable to initialize client: unrecognized driver "x"\n$/,
  },
  ...[
    ["/var/run/fleet.sock", 'the endpoint "/var/run/fleet.sock" has no URL scheme: write unix:///var/run/fleet.sock'],
    [
      "unix://var/run/fleet.sock",
      'unable to connect to host "var" with scheme "unix": write unix:///var/run/fleet.sock',
    ],
  ].map(([endpoint, reason]) => ({
    name: `a client that cannot start, before any command: ${reason}`,
    args: [`--endpoint=${endpoint}`, "list-units"],
    status: 1,
    stderr: new RegExp(`^Unable to initialize client: ${reason}\n$`),
  })),
  {
    name: "log lines have time, level and place",
    args: ["--debug", "--endpoint=unix:///nonexistent", "cat", "a"],
    status: 1,
    stderr: /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d DEBUG http\.ts:\d+: HTTP GET http:\/\/127\.0\.0\.1\/fleet/,
  },
  {
    name: "where none of several endpoints answers, each is named with its reason",
    args: ["--endpoint=unix:///nonexistent,unix:///nowhere", "cat", "a"],
    status: 1,
    stderr: /no endpoint answers: .*unix:\/\/\/nonexistent: .*; .*unix:\/\/\/nowhere: /,
  },
  {
    name: "fd-forward to a socket that is not there",
    args: ["fd-forward", "/nonexistent/x.sock"],
    status: 1,
    stderr: /^Failed dialing remote address: dial unix \/nonexistent\/x\.sock: /,
  },
];

for (const { name, args, status, stderr } of refusals) {
  Deno.test(`the program: ${name}`, async () => {
    const ran = await run(args);
    assert.match(ran.stderr, stderr);
    assert.deepEqual({ status: ran.status, stdout: ran.stdout }, { status, stdout: "" });
  });
}

Deno.test("a token that cannot be sent is refused and not shown", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "# comment\ns3cret\n");
    const cases = [[`--token-file=${file}`, {}, file], [
      "--debug",
      { FLEETCTL_TOKEN: "s3cret\nx" },
      "--token",
    ]] as const;
    for (const [flag, env, source] of cases) {
      const { status, stderr } = await run(["--endpoint=http://127.0.0.1:1", flag, "list-units"], "", env);
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`^Unable to initialize client: ${source} must contain one token`));
      assert.doesNotMatch(stderr, /s3cret/);
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("fd-forward passes a request in and the whole answer out, though its input ends first", async () => {
  const long = "x".repeat(300_000);
  await withSocket(() => Promise.resolve(new Response(long)), async (path) => {
    const ran = await run(["fd-forward", path], "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert.equal(ran.status, 0);
    assert.match(ran.stdout, /^HTTP\/1\.1 200 OK\r\n/);
    assert.ok(ran.stdout.endsWith(long));
  });
});

Deno.test("the program ends with 130 after ^C, also if the reader of its last message has gone", async () => {
  const api = new FakeApi();
  api.add("a.service", "launched", "Service.ExecStart=/bin/a");
  api.onDesiredState = () => {};
  const waits = Promise.withResolvers<void>();
  const over = Promise.withResolvers<Response>();
  const handler = (request: Request) => {
    if (!request.url.includes("/events")) return api.handle(request);
    waits.resolve();
    return over.promise;
  };
  await withSocket(handler, async (path) => {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", main, `--endpoint=unix://${path}`, "stop", "a"],
      ...{ stdin: "null", stdout: "null", stderr: "piped" } as const,
    }).spawn();
    await waits.promise;
    await process.stderr.cancel();
    process.kill("SIGINT");
    const { code } = await process.status;
    over.resolve(new Response());
    assert.equal(code, 130);
  });
});
