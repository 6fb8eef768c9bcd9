/** What the kernel answers to requests: errors with their text, and the messages of dumps. */
import { TsnetError } from "../../errors.ts";
import { describeErrno, errnoName } from "../libc.ts";
import { decodeAttributes, type Message, type Request, readText } from "./codec.ts";
import { nftMessageNames, nlm, nlmsg, nlmsgerrAttr, rtmNames } from "./constants.ts";

/** The messages of one dump. */
export class Dump {
  isInterrupted = false;
  readonly take: (message: Message) => false;

  constructor(visit: (message: Message) => void) {
    this.take = (message) => {
      if ((message.flags & nlm.dumpInterrupted) !== 0) this.isInterrupted = true;
      if (message.type !== nlmsg.done) visit(message);
      return false;
    };
  }
}

/** What is said of a dump that never came about. */
export const changing = (request: Request, dumps: number): TsnetError =>
  new TsnetError("kernel", `${nameOf(request)}: changed during each of ${dumps} dumps`, { errno: "EINTR" });

/** The header's name of a request, for messages. */
export const nameOf = ({ type }: Request): string => rtmNames[type] ?? nftMessageNames[type] ?? `message ${type}`;

/** @throws TsnetError "kernel" with the errno, if the answer is one */
export function throwError(message: Message, request: string): void {
  const error = errorOf(message, request);
  if (error) throw error;
}

/** struct nlmsgerr, and the errno at the head of NLMSG_DONE: 0 or a negative errno. undefined for 0. */
export function errorOf({ type, flags, payload }: Message, request: string): TsnetError | undefined {
  const errno = payload.length < 4 ? 0 : -payload.readInt32LE();
  if (errno === 0) return undefined;
  const extended = extendedText(type, flags, payload);
  const message = `${request}: ${describeErrno(errno)}${extended && `: ${extended}`}`;
  return new TsnetError("kernel", message, { errno: errnoName(errno) });
}

/** NLMSGERR_ATTR_MSG, behind the errno of NLMSG_DONE or the errno and the repeated request of NLMSG_ERROR. */
function extendedText(type: number, flags: number, payload: Buffer): string {
  if ((flags & nlm.ackTlvs) === 0) return "";
  const repeated = (flags & nlm.capped) !== 0 ? 16 : payload.length >= 8 ? (payload.readUInt32LE(4) + 3) & ~3 : 0;
  return readText(decodeAttributes(payload, type === nlmsg.done ? 4 : 4 + repeated), nlmsgerrAttr.message);
}
