/**
 * A health probe without network and systemd, for unit tests.
 *
 * @module
 */

import type { HealthProbe } from "./health_monitor.ts";

/** The far end of a URL: a status, no listener, or a server that never answers. */
export type FakeAnswer = number | "refuses" | "hangs";

/** Answers by URL. Commands that end in `/false` fail, those in `/true` succeed, others never end. */
export class FakeHealthProbe {
  readonly answers = new Map<string, FakeAnswer>();
  /** The units that were checked, in order. */
  readonly checked: string[] = [];

  readonly probe: HealthProbe = (unit, { target, timeout_ms }, signal) => {
    this.checked.push(unit);
    if (target.kind === "command") return Promise.resolve(commandResult(target.argv[0]!, timeout_ms));
    const answer = this.answers.get(target.url) ?? "refuses";
    if (signal.aborted) return Promise.reject(signal.reason);
    if (answer === "refuses") return Promise.resolve(`${target.url} does not answer: Connection refused`);
    if (answer === "hangs") return Promise.resolve(`${target.url} has not answered within ${timeout_ms / 1000}s`);
    return Promise.resolve(
      answer >= 200 && answer < 400 ? undefined : `${target.url} answers with status ${answer}`,
    );
  };
}

function commandResult(program: string, timeout_ms: number): string | undefined {
  if (program.endsWith("/true")) return undefined;
  return program.endsWith("/false") ? "it exited with status 1" : `it took longer than ${timeout_ms / 1000}s`;
}
