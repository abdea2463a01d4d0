import assert from "node:assert/strict";
import type { MachineUsageEntity } from "../../daemon/api/v1/types.ts";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";
import { bytesText, uptimeText } from "../top/lists.ts";

const [m1, m2, m3] = ["1a", "2b", "3c"].map((start) => start.padEnd(32, "0")) as [string, string, string];

/** Returns a cluster whose measurements are one second apart by the clocks of its machines. */
function cluster(io = new FakeIo()) {
  const api = new FakeApi();
  let measured = 0;
  api.intercept = (_request, path) => {
    if (path !== "/usage") return undefined;
    const n = measured++;
    const of = (
      machineID: string,
      cpuMicroseconds: number,
      units: MachineUsageEntity["units"],
    ): MachineUsageEntity => ({
      ...{ machineID, at: 5_000 + 1_000 * n, cpuMicroseconds, cores: 2, load: "0.50 0.40 0.30" },
      ...{ memoryBytes: 3 * 2 ** 30, memoryTotalBytes: 8 * 2 ** 30, tasks: 120, uptimeSeconds: 90_061 },
      ...{ os: "Debian 13", systemd: "257", units: units! },
    });
    return Response.json({
      machines: [
        of(m1, n * 1_500_000, [
          { name: "busy.service", cpuMicroseconds: n * 800_000, memoryBytes: 2 ** 20, tasks: 3, readBytes: n * 2048 },
          { name: "idle.service", cpuMicroseconds: 10, memoryBytes: 2 ** 30, tasks: 1 },
        ]),
        of(m2, n * 100_000, [{ name: "bare.service" }, {
          name: "new.service",
          cpuMicroseconds: n === 1 ? 0 : 400_000,
        }]),
        { machineID: m3, error: "it does not answer at http://m3: no route to host" },
      ],
    });
  };
  return { api, io };
}

Deno.test("top prints the units once, most processor time first, and names machines that do not answer", async () => {
  const { api, io } = cluster();
  const { status, stdout, stderr } = await fleetctl(api, "top", io);
  const lines = stdout.split("\n").map((line) => line.split(/\t+/));
  assert.deepEqual(lines, [
    ["UNIT", "MACHINE", "CPU", "MEMORY", "TASKS", "READ", "WRITTEN"],
    ["busy.service", "1a000000...", "80.0", "1.00M", "3", "2.00K", "-"],
    ["idle.service", "1a000000...", "0.0", "1.00G", "1", "-", "-"],
    ["bare.service", "2b000000...", "-", "-", "-", "-", "-"],
    // Its counter began again.
    ["new.service", "2b000000...", "-", "-", "-", "-", "-"],
    [""],
  ]);
  assert.equal(stderr, "Machine 3c000000...: it does not answer at http://m3: no route to host\n");
  assert.equal(status, 1);
});

Deno.test("top prints machines as JSON, several times if it is asked to", async () => {
  const { api, io } = cluster();
  const { stdout } = await fleetctl(api, "top machines --output json --sort=cpu --fields=machine,cpu,os,memory", io);
  assert.deepEqual(JSON.parse(stdout), [
    { machine: m2, cpu: 10, os: "Debian 13", memory: 3 * 2 ** 30 },
    { machine: m1, cpu: 150, os: "Debian 13", memory: 3 * 2 ** 30 },
  ]);
  const again = await fleetctl(api, "top machines -n 2 --no-legend --fields=machine,uptime --filter=machine=1a", io);
  assert.equal(again.stdout, "1a000000...\t1d1h\n\n1a000000...\t1d1h\n");
});

Deno.test("top refuses what it cannot show", async () => {
  const { api, io } = cluster();
  for (const line of ["top pods", "top units machines", "top --interval=0", "top --sort=uptime", "top --output=x"]) {
    assert.notEqual((await fleetctl(api, line, io)).status, 0, line);
  }
  const refused = await fleetctl(api, "top machines --fields=read", io);
  assert.match(refused.stderr, /Invalid key in output format: "read"/);
});

Deno.test("top draws tables on a terminal until q, and sorts by keys", async () => {
  const { api, io } = cluster();
  io.screen = { columns: 100, rows: 30 };
  const firsts = () => io.drawings.at(-1)!.split("\n").slice(1, 3).map((line) => line.split(/ +/)[0]);
  const running = fleetctl(api, "top", io);
  while (io.drawings.length < 3) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(firsts(), ["UNIT", "busy.service"]);
  io.press!("m");
  assert.deepEqual(firsts(), ["UNIT", "idle.service"]);
  io.press!("n");
  assert.deepEqual(firsts(), ["UNIT", "bare.service"]);
  io.press!("\t");
  assert.deepEqual(firsts(), ["MACHINE", "1a000000..."]);
  io.press!("r");
  assert.deepEqual(firsts(), ["MACHINE", "1a000000..."]);
  assert.match(io.drawings.at(-1)!, /unknown column "read" in --sort/);
  assert.match(io.drawings.at(-1)!, /no route to host/);
  io.press!("q");
  assert.equal((await running).status, 0);
  assert.equal(io.press, undefined, "no keys are read any more");
});

Deno.test("a failed measurement is shown below the last table, and the next one replaces it", async () => {
  const { api, io } = cluster();
  io.screen = { columns: 100, rows: 30 };
  const answer = api.intercept!;
  let asked = 0;
  api.intercept = (request, path) => {
    return path === "/usage" && ++asked === 2 ? new Response("", { status: 503 }) : answer(request, path);
  };
  assert.equal((await fleetctl(api, "top -n 3", io)).status, 0);
  assert.deepEqual(io.drawings.map((text) => /503/.test(text)), [false, true, false]);
});

Deno.test("sizes and times are short", () => {
  const sizes = [0, 999, 1000, 1024, 1536, 2 ** 20 * 999.6, 2 ** 40 * 5].map(bytesText);
  assert.deepEqual(sizes, ["0B", "999B", "0.977K", "1.00K", "1.50K", "0.976G", "5.00T"]);
  assert.deepEqual([5, 61, 3_600, 90_061].map(uptimeText), ["0m5s", "1m1s", "1h0m", "1d1h"]);
});
