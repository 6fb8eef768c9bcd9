/**
 * The tables that Docker keeps where it uses nftables itself (from 29.0, `--firewall-backend=nftables`): `ip docker-bridges` and
 * `ip6 docker-bridges`, with chains for each of its bridges. NFT_MSG_GETCHAIN of include/uapi/linux/netfilter/nf_tables.h.
 */
import { dockerTable } from "../plan/forward.ts";
import { decodeAttributes, readText } from "./netlink/codec.ts";
import { netlinkNetfilter, nfproto, nftaChain, nftMessage } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** struct nfgenmsg: family, version, resource ID. include/uapi/linux/netfilter/nfnetlink.h. */
const nfgenBytes = 4;

/**
 * The names of the chains in both tables; undefined if there are none. Equivalent to: `nft list chains`.
 * @throws TsnetError "kernel"
 */
export function observeDockerTables(): readonly string[] | undefined {
  const socket = new NetlinkSocket(netlinkNetfilter);
  try {
    const chains = [nfproto.ipv4, nfproto.ipv6].flatMap((family) => listChains(socket, family));
    return chains.length === 0 ? undefined : chains;
  } finally {
    socket.close();
  }
}

function listChains(socket: NetlinkSocket, family: number): string[] {
  const names: string[] = [];
  const begin = (): void => void names.splice(0);
  const header = Uint8Array.of(family, 0, 0, 0);
  socket.dump({ type: nftMessage.getChain, flags: 0, header, attributes: [] }, begin, ({ payload }) => {
    const attributes = decodeAttributes(payload, nfgenBytes);
    if (readText(attributes, nftaChain.table) === dockerTable) names.push(readText(attributes, nftaChain.name));
  });
  return names;
}
