/** Leaders of a swarm that come and go, with the plugin's IPAM: addresses, and what it remembers of them. */
import { pluginName } from "../support/managed-plugin.ts";
import { describeLeaders } from "../support/swarm-lab-leaders.ts";

describeLeaders(pluginName);
