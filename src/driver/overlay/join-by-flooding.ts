import { TsnetError } from "../../errors.ts";
import { vniOf } from "../../net/vni.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import { refuseTakenVni } from "./free-vni.ts";

/** Why hosts of a control plane that does not know places cannot do without something. */
interface Reasons {
  readonly flood: string;
  readonly datapath: string;
}

/**
 * What a network is on hosts that find each other's endpoints by flooding.
 * @param isFree whether no VXLAN link of this host, wherever it is, has a VNI
 * @returns its VNI: the one that is given, or one that its subnets stand for
 * @throws TsnetError "invalid" for options that need to know where endpoints are; "conflict" if the VNI is taken
 */
export async function joinByFlooding(
  { vni, subnets, flood, datapath }: OverlayNetwork,
  why: Reasons,
  isFree: (vni: number) => Promise<boolean>,
): Promise<number> {
  const refuse = (option: string, reason: string): never => {
    throw new TsnetError("invalid", `${option}: ${reason}; leave it out, or set TSNET_ETCD_ENDPOINTS`);
  };
  if (!flood) refuse("tsnet.flood=false", why.flood);
  if (datapath === "direct") refuse("tsnet.datapath=direct", why.datapath);
  const chosen = vni || vniOf(subnets.map(({ pool }) => pool));
  await refuseTakenVni(chosen, isFree);
  return chosen;
}
