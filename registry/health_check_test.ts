import assert from "node:assert/strict";
import { fleetSection } from "./requirements.ts";
import { healthCheckOf, healthCheckProblem } from "./health_check.ts";
import { whyInvalid } from "./unit_check.ts";

function options(values: Readonly<Record<string, string>>) {
  return Object.entries(values).map(([name, value]) => ({ section: fleetSection, name, value }));
}

const check = (value: string, name = "web@8080.service") => healthCheckOf(name, options({ HealthCheck: value }));

Deno.test("a unit without HealthCheck= has no check, whatever its other options are", () => {
  assert.equal(healthCheckOf("web.service", options({ HealthTimeout: "3s" })), undefined);
  assert.equal(check(""), undefined);
});

Deno.test("a health check has a target with specifiers replaced, a timeout and an interval", () => {
  assert.deepEqual(check("http://localhost:%i/health"), {
    target: { kind: "http", url: "http://localhost:8080/health" },
    timeout_ms: 5_000,
    interval_ms: 10_000,
  });
  const given = options({ HealthCheck: "/usr/bin/test -e %n", HealthTimeout: "2s", HealthInterval: "1min" });
  assert.deepEqual(healthCheckOf("web.service", given), {
    target: { kind: "command", argv: ["/usr/bin/test", "-e", "web.service"] },
    timeout_ms: 2_000,
    interval_ms: 60_000,
  });
  const reset = [...given, ...options({ HealthInterval: "", HealthTimeout: "3s" })];
  assert.equal(healthCheckOf("web.service", reset)!.interval_ms, 10_000);
  assert.equal(healthCheckOf("web.service", reset)!.timeout_ms, 3_000);
});

Deno.test("a command is split at blanks outside of quotes, and no character but a quote is special", () => {
  const argv = (value: string) => {
    const target = check(value)!.target;
    return target.kind === "command" ? target.argv : undefined;
  };
  assert.deepEqual(argv(`/bin/sh -c 'echo "a  b" | grep $HOME' x"y z"`), [
    "/bin/sh",
    "-c",
    'echo "a  b" | grep $HOME',
    "xy z",
  ]);
  assert.deepEqual(argv("/bin/a \\x2d ''\t\"\""), ["/bin/a", "\\x2d", "", ""]);
});

Deno.test("a malformed health check is refused with the reason, and counts as none", () => {
  for (
    const [value, reason] of [
      ["https://localhost/", /expect http:\/\/localhost:PORT\/PATH, or the absolute path/],
      ["curl localhost", /absolute path/],
      ["http://", /expect http/],
      ["http://db.example:80/", /"db\.example" is neither localhost nor an address/],
      ["http://a:b@localhost/", /a user or password is not sent/],
      ["/bin/sh -c 'exit 1", /a quote is not closed/],
    ] as const
  ) {
    assert.match(healthCheckProblem("web.service", options({ HealthCheck: value })) ?? "", reason);
    assert.equal(check(value), undefined);
  }
  for (const value of ["http://localhost", "http://127.0.0.1:8080/a?b", "http://[::1]:80/", "/bin/true"]) {
    assert.equal(healthCheckProblem("web.service", options({ HealthCheck: value })), undefined, value);
  }
});

Deno.test("time spans of a check are between a second and an hour", () => {
  for (const option of ["HealthTimeout", "HealthInterval"]) {
    for (const value of ["soon", "0", "100ms", "2h", "-1s"]) {
      const problem = healthCheckProblem("web.service", options({ [option]: value }));
      assert.equal(problem, `malformed ${option} "${value}": expect a time span from 1s to 1h, for example 5s`);
    }
  }
});

Deno.test("a template is checked once its instances give its specifiers a value", () => {
  const given = options({ HealthCheck: "http://localhost:%i/" });
  assert.equal(healthCheckProblem("web@.service", given), undefined);
  assert.equal(healthCheckProblem("web@80.service", given), undefined);
  assert.match(healthCheckProblem("web@blue.service", given) ?? "", /malformed HealthCheck/);
});

Deno.test("only services and containers have health checks, and the API refuses the rest", () => {
  const given = options({ HealthCheck: "/bin/true" });
  for (const name of ["a.service", "a.container", "a.pod", "a.kube"]) {
    assert.equal(healthCheckProblem(name, given), undefined);
  }
  assert.equal(
    whyInvalid("a.timer", given),
    'HealthCheck= belongs in a service or a container, not in a unit of type "timer"',
  );
});
