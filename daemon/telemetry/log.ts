/**
 * Writes log lines to stderr. An adapter. Under systemd each line starts with the priority for journald (sd-daemon(3)), else
 * with the level.
 *
 * @module
 */

import { fieldText, type Log, plainValue } from "../../runtime/log.ts";
import { visible } from "../../runtime/visible.ts";

const priorities = { debug: 7, info: 6, warn: 4, error: 3 } as const;

/** Format and verbosity of log lines. They are read for each line, so that a reload can change them. */
export interface LogSettings {
  /** More than 0 writes `debug` lines too. */
  readonly verbosity: number;
  readonly logFormat: "text" | "json";
}

/** Opens the log. `journal`: stderr is connected to journald, which adds the time. */
export function openLog(options: { readonly logSettings: () => LogSettings; readonly journal: boolean }): Log {
  const encoder = new TextEncoder();
  return (level, message, fields = {}) => {
    const { verbosity, logFormat } = options.logSettings();
    if (level === "debug" && verbosity <= 0) return;
    const known = Object.entries(fields).filter(([, value]) => value !== undefined);
    const start = options.journal ? `<${priorities[level]}>` : logFormat === "json" ? "" : `${level.toUpperCase()} `;
    const line = logFormat === "json"
      ? JSON.stringify({ time: new Date().toISOString(), level, message, ...Object.fromEntries(known) }, plainValue)
      : message.replaceAll("\n", "\\n") +
        known.map(([key, value]) => ` ${key}=${quoteIfNeeded(fieldText(value))}`).join("");
    Deno.stderr.writeSync(encoder.encode(`${start}${visible(line)}\n`));
  };
}

/** Returns the log of one part of the daemon, whose name is in each line. */
export function logOf(component: string, log: Log): Log {
  return (level, message, fields) => log(level, message, { component, ...fields });
}

function quoteIfNeeded(value: string): string {
  return /^[^\s"=\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}
