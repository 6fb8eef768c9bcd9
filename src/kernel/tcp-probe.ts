/** Whether another host has a TCP port open. */
import { connect } from "node:net";

/** "refused": the host says that nothing has the port; "silent": it says nothing. */
export type TcpAnswer = "open" | "refused" | "silent" | "no-route";

/** Connects and hangs up at once. @param waitMs after so long it is silent */
export function probeTcp(address: string, port: number, waitMs: number): Promise<TcpAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (answer: TcpAnswer): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(answer);
    };
    const late = setTimeout(() => end("silent"), waitMs);
    socket.on("connect", () => end("open"));
    socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => end(answers[code] ?? "no-route"));
  });
}

const answers: Readonly<Record<string, TcpAnswer>> = { ECONNREFUSED: "refused", ETIMEDOUT: "silent" };
