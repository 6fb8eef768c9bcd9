/** A network as Docker tells of it, whoever made it. Texts are as Docker writes them. */
export interface DockerNetwork {
  readonly id: string;
  readonly name: string;
  /** "bridge", "macvlan", "overlay", "tsnet:latest". */
  readonly driver: string;
  /** The link that a network of Docker's macvlan and ipvlan is on, `-o parent`; null where the option is not given. */
  readonly parent: string | null;
  /** "default", "tsnet". */
  readonly ipamDriver: string;
  /** `--ipam-opt`. */
  readonly ipamOptions: Readonly<Record<string, string>>;
  readonly subnets: readonly DockerSubnet[];
  /** The option tsnet.vni of a network of tsnet's: of one of a swarm, what all its nodes are told. */
  readonly vni?: string;
}

export interface DockerSubnet {
  /** "172.18.0.0/16". */
  readonly subnet: string;
  /** "172.18.0.1", null for none. */
  readonly gateway: string | null;
  /** "172.18.0.5". */
  readonly auxiliary: readonly string[];
}
