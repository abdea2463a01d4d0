/** Returns the reason why this user cannot boot machines; undefined for root. Imports nothing, so that callers can fail at once. */
export function rootMissing(): string | undefined {
  if (Deno.uid() === 0) return undefined;
  return "real machines need root (mounts, network namespaces, containers), and this user is not root";
}
