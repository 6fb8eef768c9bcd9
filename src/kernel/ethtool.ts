/** What a link leaves to the network card: ethtool(8), include/uapi/linux/ethtool.h. */
import koffi from "koffi";
import { addressFamily, checked, close, process, socket } from "./libc.ts";
import { protocolNumber, socketType } from "./libc-sockets.ts";
import { inNamespace } from "./netlink/in-namespace.ts";

const ioctl = process.func("int ioctl(int fd, unsigned long request, void *argument)");

/** SIOCETHTOOL of include/uapi/linux/sockios.h; ETHTOOL_GTXCSUM and ETHTOOL_STXCSUM. */
const siocEthtool = 0x8946;
const command = { getTxChecksum: 0x16, setTxChecksum: 0x17 } as const;

/** struct ifreq of 64 bits: the link's name, a pointer; behind it struct ethtool_value: command, value. */
const at = { name: 0, pointer: 16, value: 40 } as const;
const nameBytes = 16;
const allBytes = 48;

/**
 * Whether checksums of transport protocols are left to whoever sends the packet at last. Equivalent to: `ethtool -K LINK tx on|off`.
 * @param path the file of the link's network namespace
 */
export function setTxChecksum(path: string, link: string, on: boolean): void {
  const fd = inNamespace(path, () =>
    socket(addressFamily.inet, socketType.dgram | socketType.cloexec, protocolNumber.udp),
  );
  try {
    if ((ethtool(fd, link, command.getTxChecksum, 0) !== 0) === on) return;
    ethtool(fd, link, command.setTxChecksum, on ? 1 : 0);
  } finally {
    close(fd);
  }
}

/** @returns the value, which the kernel may have changed. @throws TsnetError "kernel" with errno ENODEV, EOPNOTSUPP */
function ethtool(fd: number, link: string, number: number, value: number): number {
  const memory = koffi.alloc("uint8_t", allBytes);
  try {
    const bytes = Buffer.from(koffi.view(memory, allBytes));
    bytes.fill(0);
    bytes.write(link.slice(0, nameBytes - 1), at.name, "latin1");
    bytes.writeBigUInt64LE(koffi.address(memory) + BigInt(at.value), at.pointer);
    bytes.writeUInt32LE(number, at.value);
    bytes.writeUInt32LE(value, at.value + 4);
    checked(`ethtool ${link}`, ioctl(fd, siocEthtool, memory));
    return bytes.readUInt32LE(at.value + 4);
  } finally {
    koffi.free(memory);
  }
}
