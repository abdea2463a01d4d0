/** The API on the sockets that systemd opens, on a real machine. */

import assert from "node:assert/strict";
import { readUntil, write } from "../../api/server_fixture.ts";
import { api_port, apiSocket } from "../../lab/fleet.ts";
import { withFleet } from "../../lab/fleet_cluster.ts";
import { until } from "../../lab/process.ts";
import { monitored } from "../docs/monitor_cases.ts";

const get = (path: string) => `GET /fleet/v1${path} HTTP/1.1\r\nHost: fleet\r\n\r\n`;

Deno.test("sockets that systemd opens", async (test) => {
  await withFleet({ machines: 2, tcp: true, conf: { metrics_units: true } }, async (cluster) => {
    const [m1, m2] = [cluster.machine("m1"), cluster.machine("m2")];
    await test.step("a client that half-closes its connection still gets its answers", async () => {
      using connection = await Deno.connect({ transport: "unix", path: apiSocket(m1) });
      await write(connection, get("/machines") + get("/units/none.service"));
      await connection.closeWrite();
      const codes = [...(await readUntil(connection, () => false)).matchAll(/HTTP\/1\.1 (\d+)/g)];
      assert.deepEqual(codes.map(([, code]) => code), ["200", "404"]);
    });
    await test.step("the kernel sends keepalive probes to a client on the network", async () => {
      const endpoint = `--endpoint=http://${m1.ip}:${api_port}`;
      await m2.must(["systemd-run", "--quiet", "--unit=watcher.service", "fleetctl", endpoint, "events"]);
      await until("the kernel's timer", async () => {
        const filter = ["state", "established", "sport", "=", `:${api_port}`];
        const sockets = await m1.must(["ss", "--tcp", "--numeric", "--options", "--no-header", ...filter]);
        return /timer:\(keepalive,/.test(sockets) ? true : undefined;
      });
      await m2.must(["systemctl", "stop", "watcher.service"]);
    });
    await test.step("the service may open a descriptor for every connection that it accepts", async () => {
      const limit = await m1.must(["systemctl", "show", "--property=LimitNOFILE", "--value", "fleet.service"]);
      assert.equal(limit.trim(), "65536");
    });
    await test.step("a Prometheus reads them by the examples, and each query of the dashboard has data", () =>
      monitored(cluster));
  });
});
