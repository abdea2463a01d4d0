import assert from "node:assert/strict";
import { verifyFindings } from "./unit_verify.ts";

Deno.test("findings of systemd-analyze verify name their unit", () => {
  // As systemd 252 prints them.
  const output = `
/run/x/a.service:6: Unknown key 'Foo' in section [Service], ignoring.
/etc/systemd/system/b.service.d/more.conf:2: Missing '=', ignoring line.
c.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.
Unit c.service has a bad unit file setting.
data.service: Failed to create data.service/start: Unit a.service not found.
b.service: Command /opt/b is not executable: No such file or directory
g.socket: service g.service not loaded, socket cannot be started.
t@i.timer: Timer unit lacks value setting. Refusing.
Failed to initialize manager: Permission denied
`;
  assert.deepEqual(verifyFindings(output).map(({ unit, line, severity, message }) => [unit, line, severity, message]), [
    ["a.service", 6, "warning", "Unknown key 'Foo' in section [Service], ignoring."],
    ["more.conf", 2, "warning", "Missing '=', ignoring line."],
    ["c.service", undefined, "error", "Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing."],
    ["c.service", undefined, "error", "Unit c.service has a bad unit file setting."],
    ["data.service", undefined, "note", "Failed to create data.service/start: Unit a.service not found."],
    ["b.service", undefined, "note", "Command /opt/b is not executable: No such file or directory"],
    ["g.socket", undefined, "note", "service g.service not loaded, socket cannot be started."],
    ["t@i.timer", undefined, "error", "Timer unit lacks value setting. Refusing."],
  ]);
});
