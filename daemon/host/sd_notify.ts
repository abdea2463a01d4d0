/**
 * Tells systemd how the daemon is, by the protocol of sd_notify(3). An adapter.
 *
 * @module
 */

/** Sends one message, for example `READY=1\nSTATUS=serving`. Without a service manager it does nothing. */
export type Notify = (message: string) => Promise<void>;

/** Opens the way to `$NOTIFY_SOCKET` (a path, or `@name` for an abstract socket). */
export function openNotify(socket: string | undefined): Notify {
  if (!socket) return () => Promise.resolve();
  const path = socket.startsWith("@") ? `\0${socket.slice(1)}` : socket;
  return async (message) => {
    // A sender needs an address of its own; the kernel forgets an abstract one when it is closed.
    const sender = Deno.listenDatagram({ transport: "unixpacket", path: `\0fleet-notify-${crypto.randomUUID()}` });
    try {
      await sender.send(new TextEncoder().encode(message), { transport: "unixpacket", path });
    } finally {
      sender.close();
    }
  };
}
