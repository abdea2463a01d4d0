import assert from "node:assert/strict";
import { loadProblemsIn } from "./load_log.ts";

Deno.test("load problems: each problem of the file once, in the order of the file, without lines about processes", () => {
  const refusing = "x.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.";
  const unknown = "/run/systemd/system/x.service:4: Unknown key 'ExecStrat' in section [Service], ignoring.";
  const lines = [refusing, unknown, "x.service: Failed with result 'exit-code'.", "Stopped x.", refusing, unknown];
  assert.deepEqual(loadProblemsIn("x.service", lines), [
    "line 4: Unknown key 'ExecStrat' in section [Service], ignoring",
    "Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing",
  ]);
  assert.deepEqual(loadProblemsIn("x.service", ["Started x.", ""]), []);
});
