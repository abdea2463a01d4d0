/** examples/monitoring: the alerts, the dashboard and the configuration, checked by promtool and against the metrics that exist. */

import assert from "node:assert/strict";
import { parse } from "yaml";
import { openMetrics } from "../../daemon/telemetry/metrics.ts";
import { run } from "../lab/process.ts";

const folder = new URL("../../examples/monitoring/", import.meta.url);
const read = (name: string) => Deno.readTextFileSync(new URL(name, folder));

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
}

interface AlertTest {
  readonly alertname: string;
  readonly exp_alerts: readonly unknown[];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: Readonly<Record<"x" | "y" | "w" | "h", number>>;
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: unknown }[];
}

const rules = (parse(read("fleet.rules.yml")).groups as { rules: Rule[] }[]).flatMap(({ rules }) => rules);
const alerts = rules.flatMap(({ alert }) => alert ?? []);
const dashboard = JSON.parse(read("dashboard.json"));
const panels: readonly Panel[] = dashboard.panels;

/** Every name that a scrape of fleetd contains. */
const names = new Set([...openMetrics().families()].flatMap(({ name, metric }) => {
  return metric.type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name];
}));

/** Fails if an expression names a metric of fleetd, or a recorded one, that does not exist. */
function assertMetricsExist(expr: string): void {
  const recorded = rules.flatMap(({ record }) => record ?? []);
  const used = expr.replaceAll(/"[^"]*"/g, "").match(/[a-z_]+(:\w+)+|\b(fleet|process)_\w+/g) ?? [];
  for (const name of used) assert.ok(names.has(name) || recorded.includes(name), `${name} in ${expr}`);
}

async function promtool(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run(["promtool", ...args]);
  assert.equal(code, 0, stdout + stderr);
}

Deno.test("promtool accepts the rules and their tests, and the configuration", async () => {
  await promtool("check", "rules", new URL("fleet.rules.yml", folder).pathname);
  await promtool("test", "rules", new URL("fleet.rules.test.yml", folder).pathname);
  await promtool("check", "config", "--syntax-only", new URL("prometheus.yml", folder).pathname);
});

Deno.test("each alert has a test of a moment at which it fires, and of one at which it does not", () => {
  const tested = (parse(read("fleet.rules.test.yml")).tests as { alert_rule_test: AlertTest[] }[])
    .flatMap(({ alert_rule_test }) => alert_rule_test);
  const of = (fires: boolean) =>
    tested.filter(({ exp_alerts }) => exp_alerts.length > 0 === fires).map(({ alertname }) => alertname).sort();
  assert.deepEqual(of(true), [...alerts].sort());
  assert.deepEqual(of(false), [...alerts].sort());
});

Deno.test("each alert has a row in the guide, which says what to do", async () => {
  const guide = await Deno.readTextFile(new URL("../../docs/guides/monitor.md", import.meta.url));
  assert.deepEqual([...guide.matchAll(/^\| `(\w+)` +\|/gm)].map(([, alert]) => alert), alerts);
});

Deno.test("rules, dashboard and reference name only metrics that exist, and the reference names all", async () => {
  for (const { expr } of rules) assertMetricsExist(expr);
  for (const { targets = [] } of panels) for (const { expr } of targets) assertMetricsExist(expr);
  for (const { definition = "" } of dashboard.templating.list) assertMetricsExist(definition);
  for (const { expr } of dashboard.annotations.list) assertMetricsExist(expr);
  const reference = await Deno.readTextFile(new URL("../../docs/reference/metrics.md", import.meta.url));
  const listed = reference.split("\n").filter((line) => line.startsWith("| `fleet_") || line.startsWith("| `process_"))
    .flatMap((line) => [...line.split("|")[1]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!));
  assert.deepEqual(listed.sort(), [...openMetrics().families()].map(({ name }) => name).sort());
});

Deno.test("the dashboard has the form that Grafana imports", () => {
  assert.equal(typeof dashboard.schemaVersion, "number");
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, "each panel has an ID of its own");
  const variables = dashboard.templating.list.map(({ name }: { name: string }) => name);
  assert.deepEqual(variables, ["datasource", "job", "instance"]);
  const taken = new Set<string>();
  for (const { type, title, description, gridPos: { x, y, w, h }, targets = [] } of panels) {
    assert.ok(["row", "stat", "timeseries"].includes(type), `${title} is a ${type}`);
    assert.ok(x >= 0 && x + w <= 24, `${title} is within the 24 columns`);
    for (let at = 0; at < w * h; at++) {
      const cell = `${x + at % w},${y + Math.floor(at / w)}`;
      assert.ok(!taken.has(cell), `${title} covers another panel`);
      taken.add(cell);
    }
    if (type === "row") continue;
    assert.ok(description && targets.length > 0, `${title} says what it shows`);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    for (const { expr, datasource } of targets) {
      assert.deepEqual(datasource, { type: "prometheus", uid: "${datasource}" });
      assert.deepEqual(expr.match(/\$(?!job\b|instance\b|__rate_interval\b)/g), null, expr);
    }
  }
});
