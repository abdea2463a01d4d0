/**
 * The program fleetd: reads its arguments, and ends the process with an exit status. An adapter.
 *
 * @module
 */

import { messageOf } from "../runtime/log.ts";
import { limitRepeats } from "../runtime/log_repeats.ts";
import { credentialsOf } from "./api/auth/credentials.ts";
import { parseArguments, usage } from "./arguments.ts";
import { checkConfig } from "./config/check.ts";
import { ignoreProxies } from "./config/load.ts";
import { type LogSettings, openLog } from "./telemetry/log.ts";
import { logConfigPath, permissionHint, readStartSettings } from "./lifecycle/startup.ts";
import { versionText } from "../runtime/version.ts";
import { writeError, writeOut } from "./host/streams.ts";
import { systemClock } from "./host/system_clock.ts";
import { build, type DaemonContext, run } from "./run.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));

/** Runs the daemon; resolves with its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const command = parseArguments("fleetd", args);
  if (command.kind === "version") return writeOut(`fleetd version ${versionText}\n`);
  if (command.kind === "help") return writeOut(usage);
  if (command.kind === "wrong") {
    writeError(`${command.message}\n${usage}`);
    return command.code;
  }
  let logSettings: LogSettings = { verbosity: 0, logFormat: "text" };
  let context: DaemonContext | undefined;
  const unlimitedLog = openLog({
    logSettings: () => context?.logSettings ?? logSettings,
    journal: Deno.env.get("JOURNAL_STREAM") !== undefined,
  });
  const limiter = limitRepeats(unlimitedLog, systemClock);
  try {
    if (command.kind === "check") {
      const { warnings, errors, text } = await checkConfig(command.config, credentialsOf);
      for (const warning of warnings) writeError(`warning: ${warning}\n`);
      for (const error of errors) writeError(`error: ${error}\n`);
      writeOut(text);
      return errors.length > 0 ? 1 : 0;
    }
    unlimitedLog("info", `Starting fleetd version ${versionText}`);
    ignoreProxies();
    const start = await readStartSettings(command);
    logSettings = start.configuration.config;
    logConfigPath(start.configuration, unlimitedLog);
    context = await build(start, { log: limiter.log, unlimitedLog });
    await run(context);
    return 0;
  } catch (error) {
    unlimitedLog("error", `${messageOf(error)}${permissionHint(error)}`);
    return 1;
  } finally {
    limiter.close();
  }
}
