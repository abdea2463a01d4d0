/**
 * Reports the daemon's status to systemd by the protocol of sd_notify(3). An adapter.
 *
 * @module
 */

/** Sends one message, for example `READY=1\nSTATUS=serving`. Without a service manager it does nothing. */
export type Notify = (message: string) => Promise<void>;

/** Opens `$NOTIFY_SOCKET`: a path, or `@name` for an abstract socket. */
export function openNotify(socket: string | undefined): Notify {
  if (!socket) return () => Promise.resolve();
  const path = socket.startsWith("@") ? `\0${socket.slice(1)}` : socket;
  return async (message) => {
    // The sending socket needs an address. The kernel removes an abstract one when the socket is closed.
    const sender = Deno.listenDatagram({ transport: "unixpacket", path: `\0fleet-notify-${crypto.randomUUID()}` });
    try {
      await sender.send(new TextEncoder().encode(message), { transport: "unixpacket", path });
    } finally {
      sender.close();
    }
  };
}
