import { writtenKey } from "../schema/keys.ts";
import type { Op } from "../store/port.ts";

/** Puts `written`, whose revision linearizable reads wait for. */
export const written: Op = { put: writtenKey, value: "" };
