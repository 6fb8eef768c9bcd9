/** Leaders of a swarm that come and go, with Docker's own IPAM: addresses. */
import { describeLeaders } from "../support/swarm-lab-leaders.ts";

describeLeaders("default");
