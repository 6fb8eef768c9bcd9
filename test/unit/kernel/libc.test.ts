import { expect } from "chai";
import { hasErrno } from "../../../src/errors.ts";
import { addressFamily, bindBytes, close, inetPton, recvAsync, socket } from "../../../src/kernel/libc.ts";
import {
  encodeSocketAddress,
  getsockname,
  protocolNumber,
  socketType,
  tryConnect,
  trySend,
} from "../../../src/kernel/libc-sockets.ts";

const udpSocket = (): number => {
  const fd = socket(addressFamily.inet, socketType.dgram | socketType.cloexec, protocolNumber.udp);
  bindBytes(fd, encodeSocketAddress(inetPton("127.0.0.1"), 0));
  return fd;
};

describe("recv on a thread of the pool", () => {
  it("fails without blocking this thread, though the kernel says why only once", async () => {
    const [nobody, fd] = [udpSocket(), udpSocket()];
    const address = getsockname(nobody).subarray(0, 16);
    close(nobody);
    expect([tryConnect(fd, address), trySend(fd, Uint8Array.of(1))]).to.deep.equal([0, 1]);
    const error: unknown = await recvAsync(fd, new Uint8Array(100)).catch((reason: unknown) => reason);
    close(fd);
    expect(hasErrno(error, "EAGAIN"), String(error)).to.equal(true);
  });
});
