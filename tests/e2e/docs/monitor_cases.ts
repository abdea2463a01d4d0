/** A real Prometheus that reads real daemons: the rules, the dashboard and the configuration of examples/monitoring. */

import assert from "node:assert/strict";
import { parse, stringify } from "yaml";
import { api_port } from "../../lab/fleet.ts";
import { type FleetCluster, sleeper } from "../../lab/fleet_cluster.ts";
import { kill, serve, until } from "../../lab/process.ts";

const folder = new URL("../../../examples/monitoring/", import.meta.url);
const address = "127.0.0.1:9090";

interface RuleState {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** Runs Prometheus in the network of the lab, and queries it. */
class Prometheus implements AsyncDisposable {
  readonly #server;

  private constructor(private readonly cluster: FleetCluster, private readonly dir: string) {
    // deno-fmt-ignore
    const command = [
      "prometheus", `--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=${address}`,
    ];
    this.#server = serve(cluster.lab.network.inside(command), `${dir}/log`);
  }

  static async start(cluster: FleetCluster): Promise<Prometheus> {
    const dir = `${cluster.lab.dir}/prometheus`;
    await Deno.mkdir(dir);
    const config = parse(await Deno.readTextFile(new URL("prometheus.yml", folder)));
    // The lab has other addresses, no certificates and less time.
    config.global = { scrape_interval: "1s", evaluation_interval: "1s" };
    config.rule_files = config.rule_files.map((name: string) => new URL(name, folder).pathname);
    const [fleet, etcd] = config.scrape_configs;
    const targets = cluster.lab.machines.map(({ ip }) => `${ip}:${api_port}`);
    const endpoints = cluster.lab.etcd.members.map(({ endpoint }) => new URL(endpoint).host);
    config.scrape_configs = [
      { job_name: fleet.job_name, static_configs: [{ targets }] },
      { job_name: etcd.job_name, static_configs: [{ targets: endpoints }] },
    ];
    await Deno.writeTextFile(`${dir}/prometheus.yml`, stringify(config));
    return new Prometheus(cluster, dir);
  }

  /** Sends a request to the HTTP API. Throws with Prometheus' error if it refuses. */
  async get<Data>(path: string, query?: string): Promise<Data> {
    const data = query === undefined ? [] : ["--get", "--data-urlencode", `query=${query}`];
    // The test's process cannot enter the namespace; curl can.
    const command = ["curl", "--silent", "--show-error", ...data, `http://${address}/api/v1/${path}`];
    const { code, stdout, stderr } = await this.cluster.lab.namespaced(command);
    if (code !== 0) throw new Error(`${stderr}\n${await Deno.readTextFile(`${this.dir}/log`)}`);
    const { status, data: answer, error } = JSON.parse(stdout);
    if (status !== "success") throw new Error(`${query ?? path}: ${error}`);
    return answer;
  }

  /** Returns the samples of an expression. */
  async samples(expr: string): Promise<readonly { readonly metric: Readonly<Record<string, string>> }[]> {
    return (await this.get<{ result: { metric: Record<string, string> }[] }>("query", expr)).result;
  }

  /** Waits until each expression has a sample. */
  async haveData(expressions: readonly string[]): Promise<void> {
    let empty = expressions;
    await until("data of every expression", async () => {
      const all = await Promise.all(empty.map(async (expr) => (await this.samples(expr)).length === 0 ? [expr] : []));
      empty = all.flat();
      return empty.length === 0 || undefined;
    }, { deadline_ms: 90_000, every_ms: 500 }).catch((error) => {
      throw new Error(`${error.message}; without data:\n${empty.join("\n")}`, { cause: error });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    kill(this.#server.pid, "SIGKILL");
    await this.#server.ended;
  }
}

/** Puts the values of the dashboard's variables into an expression. */
const withVariables = (expr: string) =>
  expr.replaceAll("$job", "fleet").replaceAll("$instance", ".*").replaceAll("$__rate_interval", "10s");

/** Needs `metrics_units` and the API on the network. */
export async function monitored(cluster: FleetCluster): Promise<void> {
  const home = cluster.machine("m1");
  const check = "[X-Fleet]\nHealthCheck=/bin/false\nHealthInterval=1s\n";
  await cluster.put(home, "watched.service", "launched", sleeper + check);
  await cluster.put(home, "failing.service", "launched", "[Service]\nExecStart=/bin/false\n");
  await cluster.put(home, "nowhere.service", "launched", `${sleeper}[X-Fleet]\nMachineMetadata=zone=none\n`);
  await using prometheus = await Prometheus.start(cluster);
  const expressions = (JSON.parse(await Deno.readTextFile(new URL("dashboard.json", folder))).panels as Panel[])
    .flatMap(({ targets = [] }) => targets.map(({ expr }) => withVariables(expr)));
  // systemd accounts for these only on hosts with the right control groups.
  const accounted = expressions.filter((expr) => /fleet_unit_(memory|tasks|read|written)/.test(expr));
  const always = expressions.filter((expr) => !accounted.includes(expr));
  assert.ok(always.length > 20);
  const rules = parse(await Deno.readTextFile(new URL("fleet.rules.yml", folder))).groups
    .flatMap((group: { rules: { record?: string }[] }) => group.rules.flatMap(({ record }) => record ?? []));
  const etcd = ["etcd_server_has_leader", "etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes"];
  await prometheus.haveData([...always, ...rules, ...etcd]);
  for (const expr of accounted) await prometheus.samples(expr);
  // These three units make three alerts pending.
  const pending = ["FleetUnitsFailed", "FleetUnitsUnhealthy", "FleetUnitsWait"];
  await prometheus.haveData(pending.map((name) => `ALERTS{alertname="${name}", alertstate="pending"}`));
  // Others may be pending on a busy host, whose scrapes are late.
  const never = ["FleetManyMachinesLost", "FleetDaemonRestarts", "FleetVersionsDiffer", "EtcdSpaceShort"];
  assert.deepEqual(await prometheus.samples(`ALERTS{alertname=~"${never.join("|")}"}`), []);
  const { groups } = await prometheus.get<{ groups: { rules: RuleState[] }[] }>("rules");
  const failed = groups.flatMap(({ rules }) => rules).filter(({ health }) => health !== "ok");
  assert.deepEqual(failed, []);
  for (const name of ["watched", "failing", "nowhere"]) await cluster.destroy(home, `${name}.service`);
}
