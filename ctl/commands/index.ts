/**
 * Every command of fleetctl. A new one is added here and nowhere else.
 *
 * @module
 */

import type { Command } from "../cli/command.ts";
import { acceptLoss } from "./accept_loss.ts";
import { acceptStore } from "./accept_store.ts";
import { apply } from "./apply.ts";
import { apps } from "./apps.ts";
import { backup } from "./backup.ts";
import { cat } from "./cat.ts";
import { complete } from "./complete.ts";
import { completion } from "./completion.ts";
import { context } from "./context.ts";
import { cordon, uncordon } from "./cordon.ts";
import { destroy } from "./destroy.ts";
import { diff } from "./diff.ts";
import { doctor } from "./doctor.ts";
import { drain, undrain } from "./drain.ts";
import { events } from "./events.ts";
import { explain } from "./explain.ts";
import { fdForward } from "./fd_forward.ts";
import { help } from "./help.ts";
import { history } from "./history.ts";
import { importUnits } from "./import.ts";
import { journal } from "./journal.ts";
import { listMachines } from "./list_machines.ts";
import { listUnitFiles } from "./list_unit_files.ts";
import { listUnits } from "./list_units.ts";
import { load } from "./load.ts";
import { logs } from "./logs.ts";
import { machine } from "./machine.ts";
import { options } from "./options.ts";
import { plan } from "./plan.ts";
import { rebalance } from "./rebalance.ts";
import { restart } from "./restart.ts";
import { restore } from "./restore.ts";
import { rollback } from "./rollback.ts";
import { rollout } from "./rollout.ts";
import { scale } from "./scale.ts";
import { ssh } from "./ssh.ts";
import { start } from "./start.ts";
import { status } from "./status.ts";
import { stop } from "./stop.ts";
import { submit } from "./submit.ts";
import { top } from "./top.ts";
import { ui } from "./ui.ts";
import { unload } from "./unload.ts";
import { verify } from "./verify.ts";
import { version } from "./version.ts";
import { wait } from "./wait.ts";

/** The commands, in the order of their names. */
export const commands: readonly Command[] = [
  acceptLoss,
  acceptStore,
  apply,
  apps,
  backup,
  cat,
  complete(() => commands),
  completion,
  context,
  cordon,
  destroy,
  diff,
  doctor,
  drain,
  events,
  explain,
  fdForward,
  help,
  history,
  importUnits,
  journal,
  listMachines,
  listUnitFiles,
  listUnits,
  load,
  logs,
  machine,
  options,
  plan,
  rebalance,
  restart,
  restore,
  rollback,
  rollout,
  scale,
  ssh,
  start,
  status,
  stop,
  submit,
  top,
  ui,
  uncordon,
  undrain,
  unload,
  verify,
  version,
  wait,
];
