/**
 * What Docker asks when it registers the plugin. It asks once, and does without a driver whose answer was an error until the plugin is
 * enabled anew (engine-contract, fact 7): so that these are answered by a plugin that cannot do anything else, too.
 */
import { addressSpaces } from "../driver/ipam/default-pools.ts";

/** What the answers depend on. */
export interface Registered {
  /** Scope of the networks: TSNET_SCOPE. */
  readonly scope: "local" | "global";
  /** Whether Docker shall tell an endpoint's MAC address when it asks for its IP address: TSNET_REQUIRES_MAC_ADDRESS. */
  readonly requiresMacAddress: boolean;
}

/** By the path under which Docker asks. */
export const registrationAnswers = ({ scope, requiresMacAddress }: Registered) => ({
  "Plugin.Activate": { Implements: ["NetworkDriver", "IpamDriver"] },
  "NetworkDriver.GetCapabilities": { Scope: scope, ConnectivityScope: "global", GwAllocChecker: true },
  "IpamDriver.GetCapabilities": { RequiresMACAddress: requiresMacAddress, RequiresRequestReplay: false },
  "IpamDriver.GetDefaultAddressSpaces": {
    LocalDefaultAddressSpace: addressSpaces.local,
    GlobalDefaultAddressSpace: addressSpaces.global,
  },
});
