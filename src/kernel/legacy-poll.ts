import { readFileSync } from "node:fs";
import { TsnetError } from "../errors.ts";
import { addressFamily, close, getsockoptInPlace, socket } from "./libc.ts";

/** SOCK_RAW | SOCK_CLOEXEC of include/linux/net.h, and IPPROTO_RAW. */
const rawSocket = 3 | 0o2000000;
const protocolRaw = 255;

/** IPT_SO_GET_INFO and IP6T_SO_GET_INFO of include/uapi/linux/netfilter_ipv4/ip_tables.h and …_ipv6/ip6_tables.h. */
const getInfo = 64;

/** struct ipt_getinfo, and ip6t_getinfo: char name[32]; unsigned int valid_hooks, hook_entry[5], underflow[5], num_entries, size. */
const infoBytes = 32 + 4 * 13;

const families = [
  { domain: addressFamily.inet, level: 0, names: "ip_tables_names" },
  { domain: addressFamily.inet6, level: 41, names: "ip6_tables_names" },
] as const;

/**
 * Notices changes to the table filter of iptables-legacy, which the kernel tells nobody about, by its number of rules, its
 * size and where its chains begin. A rule replaced by another of the same size goes unnoticed.
 */
export class LegacyIptablesPoll {
  #sockets = new Map<number, number>();
  #last: string;

  constructor() {
    this.#last = this.#look();
  }

  /** Whether something differs from the last look; a microsecond's work where iptables-legacy is not used. */
  changed(): boolean {
    const now = this.#look();
    const changed = now !== this.#last;
    this.#last = now;
    return changed;
  }

  close(): void {
    for (const fd of this.#sockets.values()) close(fd);
    this.#sockets.clear();
  }

  #look(): string {
    return families.map((family) => (hasFilter(family.names) ? this.#info(family) : "")).join("|");
  }

  #info({ domain, level }: (typeof families)[number]): string {
    const info = new Uint8Array(infoBytes);
    info.set(new TextEncoder().encode("filter"));
    try {
      const fd = this.#sockets.get(level) ?? socket(domain, rawSocket, protocolRaw);
      this.#sockets.set(level, fd);
      getsockoptInPlace(fd, level, getInfo, info);
    } catch (error) {
      if (error instanceof TsnetError && error.errno === "ENOENT") return ""; // removed since
      throw error;
    }
    return Buffer.from(info).toString("base64");
  }
}

/** To ask for a table creates it, so this comes first. */
function hasFilter(names: string): boolean {
  try {
    return readFileSync(`/proc/thread-self/net/${names}`, "utf8").split("\n").includes("filter");
  } catch {
    return false; // a kernel without ip_tables
  }
}
