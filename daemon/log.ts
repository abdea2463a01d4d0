/**
 * Log lines on stderr. 🚪 One line a fact. Under systemd each starts with the priority that journald understands
 * (sd-daemon(3)), else with the level.
 *
 * @module
 */

import type { Log } from "../registry/log.ts";

const priorities = { debug: 7, info: 6, warn: 4, error: 3 } as const;

/** How lines are written; asked anew for each, so that it can change while the daemon runs. */
export interface LogManner {
  /** More than 0 lets `debug` through. */
  readonly verbosity: number;
  readonly logFormat: "text" | "json";
}

/** Opens the log. `journal`: stderr is connected to journald, which knows the time. */
export function openLog(options: { readonly manner: () => LogManner; readonly journal: boolean }): Log {
  const encoder = new TextEncoder();
  return (level, message, fields = {}) => {
    const { verbosity, logFormat } = options.manner();
    if (level === "debug" && verbosity <= 0) return;
    const known = Object.entries(fields).filter(([, value]) => value !== undefined);
    const start = options.journal ? `<${priorities[level]}>` : logFormat === "json" ? "" : `${level.toUpperCase()} `;
    const line = logFormat === "json"
      ? JSON.stringify({ time: new Date().toISOString(), level, message, ...Object.fromEntries(known) })
      : message.replaceAll("\n", "\\n") +
        known.map(([key, value]) => ` ${key}=${quoteIfNeeded(String(value))}`).join("");
    Deno.stderr.writeSync(encoder.encode(`${start}${line}\n`));
  };
}

/** The log of one part of the daemon: each line says which. */
export function logOf(component: string, log: Log): Log {
  return (level, message, fields) => log(level, message, { component, ...fields });
}

function quoteIfNeeded(value: string): string {
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
