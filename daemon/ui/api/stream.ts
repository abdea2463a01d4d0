/**
 * Follows the event stream and keeps the {@link Cluster} up to date. The page never polls.
 *
 * @module
 */

import { signal } from "@preact/signals";
import { createParser } from "eventsource-parser";
import { Cluster, decodeEvent } from "../model/cluster.ts";
import { ApiError, readAccess, send } from "./client.ts";
import { access } from "./session.ts";

let cluster = new Cluster();

/** The cluster that a stream describes again, until that is complete: what is shown stays as it is so long. */
let incoming: Cluster | undefined;

/** Increases after changes of the cluster: at most once a frame. */
const revision = signal(0);

/** Returns the cluster as the page knows it. A component that calls this is drawn again after changes. */
export function present(): Cluster {
  void revision.value;
  return cluster;
}

/** The reason why there are no events at the moment; "" while the connection is good. */
export const problem = signal("connecting");

/** The time since which {@link problem} lasts, milliseconds since the epoch; 0 before the first connection. */
export const lost_ms = signal(0);

/** The pause before another attempt, milliseconds: doubled after each failure, and random so that pages do not return at once. */
const pause_ms = { least: 500, most: 10_000 } as const;

/** The stream has a comment at least every 15 seconds; without anything for so long, the connection is taken for lost. */
const silence_ms = 30_000;

/** The number of connections so far: what was asked before the latest one may be stale, or have failed. */
export const connections = signal(0);

/** Ends the attempts of the latest call of {@link followCluster}. */
let latestCall = new AbortController();

/** Follows the stream for the life of the page, or until a token is needed. An earlier call ends: there is one stream. */
export async function followCluster(): Promise<void> {
  latestCall.abort();
  latestCall = new AbortController();
  const { signal } = latestCall;
  let wait_ms: number = pause_ms.least;
  let since: string | undefined;
  while (!signal.aborted && access.value !== "signed-out") {
    try {
      await readAccess(AbortSignal.any([signal, AbortSignal.timeout(silence_ms)]));
      if (signal.aborted) return;
      since = await readStream(since, signal, () => wait_ms = pause_ms.least);
      lose("the server has ended the connection");
    } catch (error) {
      if (signal.aborted || error instanceof ApiError && error.code === 401) return;
      lose(error instanceof ApiError ? error.message : "the server cannot be reached");
    }
    await new Promise((resolve) => setTimeout(resolve, wait_ms * (0.5 + Math.random())));
    wait_ms = Math.min(pause_ms.most, wait_ms * 2);
  }
}

function lose(reason: string): void {
  if (problem.value === "") lost_ms.value = Date.now();
  problem.value = reason;
}

/**
 * Reads one stream until it ends. Returns the ID of the last event, from which another stream can continue; undefined if
 * that must begin with the present, because this one has been reset since.
 */
async function readStream(
  since: string | undefined,
  signal: AbortSignal,
  connected: () => void,
): Promise<string | undefined> {
  const quiet = new AbortController();
  const query = since === undefined ? "" : `?since=${encodeURIComponent(since)}`;
  let timer = setTimeout(() => quiet.abort(), silence_ms);
  const answer = await send(`/fleet/v1/events${query}`, { signal: AbortSignal.any([quiet.signal, signal]) })
    .finally(() => clearTimeout(timer));
  connected();
  problem.value = "";
  connections.value++;
  if (since === undefined) incoming = cluster.successor();
  let latest = since;
  const parser = createParser({
    onEvent: ({ event = "", data, id }) => {
      applyEvent(event, data);
      if (event === "reset") latest = undefined;
      else latest = id || latest;
    },
  });
  const decoder = new TextDecoder();
  timer = setTimeout(() => quiet.abort(), silence_ms);
  try {
    for await (const chunk of answer.body!) {
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), silence_ms);
      parser.feed(decoder.decode(chunk, { stream: true }));
    }
  } catch (error) {
    if (!(error instanceof TypeError || quiet.signal.aborted || signal.aborted)) throw error;
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
  return latest;
}

function applyEvent(kind: string, data: string): void {
  const target = incoming ?? cluster;
  if (kind === "reset") incoming = cluster.successor();
  else if (kind === "synced") {
    target.isSynced = true;
    [cluster, incoming] = [target, undefined];
  } else {
    const event = decodeEvent(kind, data);
    if (event) target.apply(event, Date.now());
  }
  scheduleDraw();
}

let isScheduled = false;

function scheduleDraw(): void {
  if (isScheduled) return;
  isScheduled = true;
  // A hidden tab gets no frames, and needs none.
  requestAnimationFrame(() => {
    isScheduled = false;
    revision.value++;
  });
}
