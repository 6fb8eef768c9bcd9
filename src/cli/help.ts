/** What the command says of itself. */
import { defaultAdminSocket } from "../config.ts";

const commonHelp = `  --json           print JSON
  --socket PATH    the plugin's admin socket (default: $TSNET_ADMIN_SOCKET, or ${defaultAdminSocket})
  -h, --help       print this`;

/** By command; "" is the program itself. */
export const helps = {
  "": `Usage: tsnet COMMAND [OPTIONS]

  networks                       networks, what they are on, and whether that is up
  endpoints [NETWORK]            containers' ends of networks: addresses, links, and whether they are up
  ports                          published ports, with their connections, packets and bytes
  firewall                       whether tsnet's part of the firewall is in place, and what was repaired
  firewall explain PORT[/PROTO]  what becomes of a connection to a port of this host, and which rule decides
  ipam                           address pools, and how full they are
  ipam show POOL                 who has which address of a pool, and since when
  ipam check                     addresses that are held by nobody any more; gives them back with --repair
  hosts                          the hosts that share networks and addresses by etcd, and when each was last seen
  hosts remove HOST              forgets a host that is gone for good, with its endpoints and addresses
  services [SERVICE]             services of a swarm: virtual IPs, tasks, and connections to them
  doctor                         how the way to each other host is, and what is wrong with it
  upgrade REFERENCE              puts another version in the managed plugin's place; goes back if it does not work

tsnet COMMAND --help says more.
`,
  networks: `Usage: tsnet networks [OPTIONS]

The networks of tsnet on this host. PARENT is the link that the containers' links are on: the bridge, or the parent of
macvlan and ipvlan; STATE says whether it is up. HOST ACCESS is there if a network has tsnet.host_access: the host's own
link on the parent, and its addresses. Names come from Docker (DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  endpoints: `Usage: tsnet endpoints [NETWORK] [OPTIONS]

The endpoints of all networks of tsnet on this host, or of NETWORK, by its name or ID. LINK is the link's name in the
container, HOST LINK in the host's namespace, where it waits for the container or has its other end; STATE is the
link's. Names come from Docker (DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  ports: `Usage: tsnet ports [OPTIONS]

The published ports of all containers on tsnet networks. CONNECTIONS counts new connections, PACKETS what the kernel
forwards to and from the container's port, BYTES that and what the proxy passes on. All count from the moment when the
port was published, or the plugin restarted with it. Names come from Docker (DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  firewall: `Usage: tsnet firewall [OPTIONS]
       tsnet firewall explain PORT[/PROTO] [OPTIONS]

Whether the nft table and the rule in FORWARD are in place, which of Docker's bridges are known, and what was repaired.

${commonHelp}
`,
  explain: `Usage: tsnet firewall explain PORT[/PROTO] [OPTIONS]

What becomes of a new connection to PORT (PROTO: tcp, udp or sctp; tcp if left out), step by step.

  --from ADDRESS   the client: an address outside, of this host (127.0.0.1, ::1) or of a container (default: any outside)
  --to ADDRESS     an address of this host or of a container (default: each on which the port is published)
${commonHelp}
`,
  ipam: `Usage: tsnet ipam [OPTIONS]
       tsnet ipam show POOL [OPTIONS]
       tsnet ipam check [--repair] [OPTIONS]

The address pools of all networks with --ipam-driver tsnet. SIZE counts all addresses of the pool, its network and
broadcast address among them, RESTING those that were released and are kept for a while. USE% is USED of what can be
held; from 80 % on it has a "!". Names of networks come from Docker (DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  "ipam show": `Usage: tsnet ipam show POOL [OPTIONS]

Who has which address of a pool, and since when, in the order of the addresses. POOL is a pool's ID or its subnet, as
"tsnet ipam" shows them, or the name or ID of a network, of which all pools are shown. Names come from Docker
(DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  "ipam check": `Usage: tsnet ipam check [--repair] [OPTIONS]

Compares what is held with the containers that there are, as tsnet and Docker know them. The exit code is 0 if nothing
is wrong, and 1 if something is, or is left after the repair.

  --repair         give back what nobody has any more
${commonHelp}
`,
  hosts: `Usage: tsnet hosts [OPTIONS]
       tsnet hosts remove HOST [--force] [OPTIONS]

The hosts that have overlay networks or pools that hosts share, as etcd knows them. A host with overlay networks says every
five minutes that it is there, or more often if TSNET_HOST_TTL is less than an hour. NETWORKS and ENDPOINTS count these
networks and what it has of them, ADDRESSES what it holds in pools that hosts share.

${commonHelp}
`,
  "hosts remove": `Usage: tsnet hosts remove HOST [--force] [OPTIONS]

Removes what etcd has of HOST, by its name or ID: nothing is sent there any more, and others can have its addresses. For
one that is gone for good, and not to be waited for until TSNET_HOST_TTL is over. One that lives puts its endpoints back;
it keeps its addresses if it was seen a moment ago.

  --force          although it was seen a moment ago, or nobody knows whether it lives, as it has no overlay network
${commonHelp}
`,
  services: `Usage: tsnet services [SERVICE] [OPTIONS]

The services of a swarm on networks that this node has, or the tasks of SERVICE. TASKS has those that get new connections,
and all; a task that is about to be stopped is "draining". CONNECTIONS counts open ones that containers of this node have
by the virtual IP. Names of networks come from Docker (DOCKER_HOST or /var/run/docker.sock).

${commonHelp}
`,
  doctor: `Usage: tsnet doctor [OPTIONS]

Sends probes through the tunnel to each host that has an overlay network of this one. ROUND TRIP is the median, ROUTE MTU
what the route promises, VERIFIED the biggest packet that has passed, up to what the networks need; LOSS is that of the
last PROBES. Takes some seconds where a host does not answer. The exit code is 1 if something is wrong.

${commonHelp}
`,
  upgrade: `Usage: tsnet upgrade REFERENCE [OPTIONS]

Fetches REFERENCE, disables the managed plugin, upgrades and enables it, and looks whether it answers and knows the
networks and endpoints that it knew before. If it does not, what was installed is put back. Running containers keep their
networks meanwhile; what Docker asks the plugin has to wait some seconds. Docker's API is at DOCKER_HOST, or
/var/run/docker.sock. The exit code is 0 if REFERENCE runs, and 1 if it does not.

  --plugin NAME            the installed plugin (default: tsnet-plugin, or the only one that is tsnet)
  --grant-all-permissions  although it may do more than what is installed
  --no-way-back            although what is installed is in no registry, and cannot be put back
${commonHelp}
`,
} as const;
