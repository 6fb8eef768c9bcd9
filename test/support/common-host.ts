/** One host for many files, where starting one takes long. */
import { endHost, leaveNothing } from "./docker-suite.ts";
import { Host } from "./host.ts";

let common: Host | undefined;

// of mocha's root, since files are loaded outside of any describe: after the last file
after("the host that files share", () => endHost(common));

/**
 * The same host for all files that call this: for tests that leave the host and the network around it as they find them.
 * @returns the host, once the tests run
 */
export function useCommonHost(): () => Host {
  const host = (): Host => common as Host; // set before the tests
  before("a host with dockerd and tsnet, which files share", async () => {
    common ??= await Host.start();
  });
  leaveNothing(host);
  return host;
}
