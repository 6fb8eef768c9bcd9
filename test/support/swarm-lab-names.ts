/** What Docker's resolver tells containers. */
import type { Container } from "./container.ts";
import { until } from "./poll.ts";

/** Nodes tell each other in a second or two; one that has just joined asks the others each 30 s. */
const gossipDeadlineMs = 40_000;

/** The addresses that a name has in a container, in order; none if there is no such name. */
export async function lookUp(from: Container, name: string): Promise<string[]> {
  const { stdout } = await from.execInside("nslookup", "-type=a", name, "127.0.0.11");
  const [, answer = ""] = stdout.split(/\n\n/);
  return [...answer.matchAll(/^Address(?: \d+)?: (\d+\.\d+\.\d+\.\d+)/gm)].map(([, address = ""]) => address).sort();
}

/** Waits until a name has exactly these addresses in a container. @throws Error with those that it has */
export async function appears(from: Container, name: string, addresses: readonly string[]): Promise<void> {
  const wanted = addresses.toSorted().join();
  let found: string[] = [];
  const same = until(`${name} has its addresses`, gossipDeadlineMs, async () => {
    found = await lookUp(from, name);
    return found.join() === wanted;
  });
  await same.catch((cause: Error) => {
    throw new Error(`${cause.message}: ${found.join() || "none"} instead of ${wanted}`, { cause });
  });
}

/** Of each on a network. */
export const addressesOf = (containers: readonly Container[], network: string): Promise<string[]> =>
  Promise.all(containers.map((container) => container.ipv4(network)));
