/** Whether bridged packets can pass the tables of nftables. */
import { existsSync } from "node:fs";

/** There while br_netfilter is loaded: net/bridge/br_netfilter_hooks.c. */
const bridgeNetfilter = "/proc/sys/net/bridge";

export const hasBridgeFilter = (): boolean => existsSync(bridgeNetfilter);
