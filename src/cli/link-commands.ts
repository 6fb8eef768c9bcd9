/** `tsnet networks` and `tsnet endpoints`: asks the plugin and Docker. */
import type { EndpointsAnswer, NetworksAnswer } from "../driver/report-link-answers.ts";
import type { LinkCommand } from "./arguments.ts";
import { askAdmin } from "./client.ts";
import { dockerNames } from "./docker-names.ts";
import { formatEndpoints, namedEndpoints } from "./endpoints.ts";
import { findNetwork, formatNetworks, namedFailures, namedNetworks } from "./networks.ts";
import { toJson } from "./table.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** @returns what to print. @throws Error with what to do */
export const linksText = (command: LinkCommand, env: Environment): Promise<string> =>
  command.name === "networks" ? networksText(command, env) : endpointsText(command, env);

async function networksText({ socket, json }: LinkCommand, env: Environment): Promise<string> {
  const [answer, names] = await Promise.all([askAdmin<NetworksAnswer>(socket, "/v1/networks"), dockerNames(env)]);
  const networks = namedNetworks(answer.networks, names);
  const failed = namedFailures(answer.failed, names);
  return json ? toJson({ networks, failed }) : formatNetworks(networks, failed);
}

async function endpointsText(
  { socket, json, network }: Extract<LinkCommand, { name: "endpoints" }>,
  env: Environment,
): Promise<string> {
  const names = dockerNames(env);
  const ask = async (): Promise<EndpointsAnswer> => {
    if (network === null) return await askAdmin(socket, "/v1/endpoints");
    const known = await askAdmin<NetworksAnswer>(socket, "/v1/networks");
    const { id } = findNetwork(network, namedNetworks(known.networks, await names));
    return await askAdmin(socket, `/v1/endpoints?${new URLSearchParams({ network: id })}`);
  };
  const { endpoints: found } = await ask();
  const endpoints = namedEndpoints(found, await names);
  return json ? toJson({ endpoints }) : formatEndpoints(endpoints);
}
