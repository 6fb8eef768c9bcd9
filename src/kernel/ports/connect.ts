import { TsnetError } from "../../errors.ts";
import { close, socket } from "../libc.ts";
import {
  EINPROGRESS,
  familyOf,
  protocolNumber,
  setOption,
  socketOption,
  socketType,
  tryConnect,
} from "../libc-sockets.ts";

/**
 * A socket that does not block and is connected to the target; of TCP it is still being connected, and ready to write when it is,
 * or when it failed.
 * @param target struct sockaddr
 * @returns undefined if it cannot even be tried, for want of descriptors or of a route
 */
export function connectTo(target: Uint8Array, protocol: "tcp" | "udp"): number | undefined {
  const fd = openOrNot(target, protocol);
  if (fd === undefined) return undefined;
  if (protocol === "tcp") setOption(fd, socketOption.noDelay, 1);
  const result = tryConnect(fd, target);
  if (result === 0 || result === -EINPROGRESS) return fd;
  close(fd);
  return undefined;
}

function openOrNot(target: Uint8Array, protocol: "tcp" | "udp"): number | undefined {
  const kind = protocol === "tcp" ? socketType.stream : socketType.dgram;
  try {
    return socket(familyOf(target), kind | socketType.nonblock | socketType.cloexec, protocolNumber[protocol]);
  } catch (error) {
    if (error instanceof TsnetError) return undefined;
    throw error;
  }
}
