/**
 * Log lines on stderr. 🚪 One line a fact. Under systemd each starts with the priority that journald understands
 * (sd-daemon(3)), else with the level.
 *
 * @module
 */

import type { Log } from "../registry/log.ts";

const priorities = { debug: 7, info: 6, warn: 4, error: 3 } as const;

/** Opens the log. `verbosity` above 0 lets `debug` through; `journal`: stderr is connected to journald. */
export function openLog(options: { readonly verbosity: () => number; readonly journal: boolean }): Log {
  const encoder = new TextEncoder();
  return (level, message, fields) => {
    if (level === "debug" && options.verbosity() <= 0) return;
    const start = options.journal ? `<${priorities[level]}>` : `${level.toUpperCase()} `;
    const rest = Object.entries(fields ?? {}).filter(([, value]) => value !== undefined)
      .map(([key, value]) => ` ${key}=${quoteIfNeeded(String(value))}`).join("");
    Deno.stderr.writeSync(encoder.encode(`${start}${message.replaceAll("\n", "\\n")}${rest}\n`));
  };
}

function quoteIfNeeded(value: string): string {
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
