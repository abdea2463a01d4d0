/**
 * `/units/{name}/history`: the versions of a unit's file.
 *
 * @module
 */

import type { UnitName } from "../../../registry/model.ts";
import { versionsOf } from "../../../registry/versions.ts";
import { optionsOf } from "../../../systemd/unit_file.ts";
import type { Api, Call } from "../context.ts";
import { errorReply } from "../http/responses.ts";
import { changedEntity, compact, nonEmpty, optionEntities } from "../v1/entities.ts";
import type { HistoryEntity, VersionEntity } from "../v1/types.ts";

/** GET `/units/{name}/history`: every version or, with `version`, one with the options of its file. */
export async function getHistory(api: Api, name: UnitName, { query, peer }: Call): Promise<Response> {
  const wanted = query.get("version");
  if (wanted !== null && !/^[1-9]\d{0,8}$/.test(wanted)) {
    return errorReply(400, `invalid version ${JSON.stringify(wanted)}: expect the number of a version`);
  }
  const { units, files, targets } = await api.registry.read();
  const unit = units.get(name);
  if (!unit) return errorReply(404, "unit does not exist");
  const all = unit.unreadable === undefined ? versionsOf(unit).toReversed() : [];
  const chosen = wanted === null ? all : all.filter(({ number }) => number === Number(wanted));
  if (wanted !== null && chosen.length === 0) {
    const [newest, oldest] = [all[0]?.number ?? 0, all.at(-1)?.number ?? 0];
    const kept = all.length === 0 ? "it has none" : `it has ${oldest} to ${newest}`;
    return errorReply(404, `unit has no version ${wanted}: ${kept}`);
  }
  const versions = chosen.map(({ number, hash, changed, restarts = [] }): VersionEntity => {
    const text = files.get(hash)?.text;
    return compact<VersionEntity>({
      version: number,
      hash,
      changed: changed && changedEntity(changed),
      restarts: nonEmpty(restarts.toReversed().map(changedEntity)),
      missing: text === undefined ? true : undefined,
      options: wanted !== null && text !== undefined ? optionEntities(optionsOf(text)) : undefined,
    });
  });
  const target = targets.get(name);
  const placed = target && target.unreadable === undefined ? [...target.past ?? [], target] : unit.past ?? [];
  const placements = placed.toReversed().map(({ machine, since_ms, why }) => ({
    at: since_ms,
    machineID: machine,
    why,
  }));
  const history = compact<HistoryEntity>({ name, placements: nonEmpty(placements), versions });
  return api.responses.json(JSON.stringify(history), peer.whenOver);
}
