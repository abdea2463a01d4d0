import { run } from "./run.ts";
const seed = Number(Deno.args[0] ?? 1), n = Number(Deno.args[1] ?? 1);
for (let s = seed; s < seed + n; s++) {
  const t = performance.now();
  const o = await run(s);
  console.log(s, o.violation?.message ?? "ok", o.settled_ms, o.events, o.commands, o.revision, Math.round(performance.now() - t), "ms");
  if (n === 1) Deno.writeTextFileSync("/tmp/w1_trace", o.trace.join("\n"));
}
