/** Names of 802.1Q links as Docker's macvlan driver reads them. */
import { TsnetError } from "../errors.ts";

/** An 802.1Q link by its name. */
export interface VlanName {
  /** The link that its frames pass with a tag: "eth0". */
  readonly base: string;
  /** 1 to 4094: IEEE 802.1Q keeps 0 and 4095 for itself. */
  readonly vlanId: number;
}

/**
 * "eth0.10" is VLAN 10 of eth0.
 * @throws TsnetError "invalid" in Docker's words (moby, drivers/macvlan/macvlan_setup.go)
 */
export function parseVlanName(name: string): VlanName {
  const parts = name.split(".");
  const [base = "", id = ""] = parts;
  if (parts.length !== 2 || base === "") {
    const example = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received";
    throw new TsnetError("invalid", `${example} ${name}`);
  }
  if (!/^\d+$/.test(id)) {
    throw new TsnetError("invalid", `unable to parse a valid vlan id from: ${id} (ex. eth0.10 for vlan 10)`);
  }
  const vlanId = Number(id);
  if (vlanId < 1 || vlanId > 4094) {
    throw new TsnetError("invalid", `vlan id must be between 1-4094, received: ${id}`);
  }
  return { base, vlanId };
}
